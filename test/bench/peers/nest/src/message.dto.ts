import { IsDateString, IsInt, IsString, Matches, Max, MaxLength, Min } from 'class-validator';

export class MessageDto {
  @Matches(/^m-\d{8}$/)
  id!: string;

  @Matches(/^[0-9A-Z]{20}$/)
  schoolOin!: string;

  @Matches(/^[0-9A-Za-z_-]{22}$/)
  learner!: string;

  @Matches(/^97[89]\d{10}$/)
  productId!: string;

  @IsInt()
  @Min(1)
  @Max(1000)
  quantity!: number;

  @IsDateString()
  startsOn!: string;

  @IsString()
  @MaxLength(2000)
  note!: string;
}
