/** W3C Trace Context, level 1: version, trace id, parent id, flags. Later versions may add parts, which are not kept. */
const FORM = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * What is kept of the header `traceparent`, and so rests in the log and goes along with what it causes. It is a sender's own
 * text: whatever has not exactly the form of the standard is nothing, because it could be about anybody.
 */
export const traceparentOf = (header: string | undefined): string =>
  header !== undefined && FORM.test(header) ? header : '';
