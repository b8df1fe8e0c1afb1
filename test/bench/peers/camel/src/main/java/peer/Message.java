package peer;

import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import jakarta.validation.constraints.NotNull;
import jakarta.validation.constraints.Pattern;
import jakarta.validation.constraints.Size;

public record Message(
    @NotNull @Pattern(regexp = "m-\\d{8}") String id,
    @NotNull @Pattern(regexp = "[0-9A-Z]{20}") String schoolOin,
    @NotNull @Pattern(regexp = "[0-9A-Za-z_-]{22}") String learner,
    @NotNull @Pattern(regexp = "97[89]\\d{10}") String productId,
    @Min(1) @Max(1000) int quantity,
    @NotNull @Pattern(regexp = "\\d{4}-\\d{2}-\\d{2}") String startsOn,
    @NotNull @Size(max = 2000) String note) {
}
