/**
 * Every fault the gateway can name, in one table. gRPC status details, problem+json, SOAP fault detail, console and
 * docs read it; a test compares the table in `docs/faults.md` with this one.
 */

/** Who must act before a repeat can succeed. */
export type Who = 'sender' | 'receiver' | 'school' | 'peer' | 'us';

/** When repeating the same message can help. */
export type Retry = 'never' | 'backoff' | 'after_school' | 'when_released' | 'same_key' | 'relist';

export interface FaultRow {
  who: Who;
  retry: Retry;
  /** Canonical gRPC status name. */
  grpc:
    | 'INVALID_ARGUMENT'
    | 'FAILED_PRECONDITION'
    | 'RESOURCE_EXHAUSTED'
    | 'UNAUTHENTICATED'
    | 'PERMISSION_DENIED'
    | 'NOT_FOUND'
    | 'ABORTED'
    | 'UNAVAILABLE'
    | 'DEADLINE_EXCEEDED'
    | 'OUT_OF_RANGE'
    | 'DATA_LOSS'
    | 'INTERNAL';
  http: number;
  en: string;
  nl: string;
}

export const faults = {
  'wire.unreadable': {
    who: 'sender',
    retry: 'never',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    en: 'The message cannot be parsed.',
    nl: 'Het bericht is niet te lezen.',
  },
  'wire.invalid': {
    who: 'sender',
    retry: 'never',
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    en: 'The message breaks its schema.',
    nl: 'Het bericht voldoet niet aan het schema.',
  },
  'wire.version': {
    who: 'sender',
    retry: 'never',
    grpc: 'FAILED_PRECONDITION',
    http: 400,
    en: 'We do not speak this version.',
    nl: 'Deze versie wordt niet ondersteund.',
  },
  'wire.too_large': {
    who: 'sender',
    retry: 'never',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 413,
    en: 'The message is larger than the stated limit.',
    nl: 'Het bericht is groter dan is toegestaan.',
  },
  'wire.pgn': {
    who: 'sender',
    retry: 'never',
    grpc: 'INVALID_ARGUMENT',
    http: 422,
    en: 'The message holds a personal number, which this gateway never takes in.',
    nl: 'Het bericht bevat een persoonsgebonden nummer; dat wordt nooit aangenomen.',
  },
  'gateway.overloaded': {
    who: 'us',
    retry: 'backoff',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 429,
    en: 'A stated limit is reached; come back later.',
    nl: 'Een grens is bereikt; probeer het later opnieuw.',
  },
  'gateway.stopping': {
    who: 'us',
    retry: 'backoff',
    grpc: 'UNAVAILABLE',
    http: 503,
    en: 'The gateway is stopping; come back.',
    nl: 'De gateway stopt; probeer het zo opnieuw.',
  },
  'gateway.unavailable': {
    who: 'us',
    retry: 'backoff',
    grpc: 'UNAVAILABLE',
    http: 503,
    en: 'A part of the gateway does not answer; come back. The same reference has no second effect.',
    nl: 'Een deel van de gateway antwoordt niet; probeer het zo opnieuw. Dezelfde referentie heeft geen tweede gevolg.',
  },
  'gateway.late': {
    who: 'us',
    retry: 'backoff',
    grpc: 'DEADLINE_EXCEEDED',
    http: 504,
    en: 'It took longer than a call may take; come back. The same reference has no second effect.',
    nl: 'Het duurde langer dan een aanroep mag duren; probeer het opnieuw. Dezelfde referentie heeft geen tweede gevolg.',
  },
  'party.unknown': {
    who: 'sender',
    retry: 'never',
    grpc: 'UNAUTHENTICATED',
    http: 401,
    en: 'We do not know who is calling.',
    nl: 'De afzender is onbekend.',
  },
  'party.forbidden': {
    who: 'sender',
    retry: 'never',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    en: 'Your role does not include this.',
    nl: 'Uw rol staat dit niet toe.',
  },
  'mandate.missing': {
    who: 'school',
    retry: 'after_school',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    en: 'The school gave no mandate for this service.',
    nl: 'De school heeft hiervoor geen mandaat gegeven.',
  },
  'mandate.unconfirmed': {
    who: 'school',
    retry: 'after_school',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    en: 'The school has not confirmed the mandate yet.',
    nl: 'De school heeft het mandaat nog niet bevestigd.',
  },
  'mandate.unaccepted': {
    who: 'peer',
    retry: 'backoff',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    en: 'The party has not accepted the mandate yet.',
    nl: 'De partij heeft het mandaat nog niet aanvaard.',
  },
  'mandate.ended': {
    who: 'school',
    retry: 'after_school',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    en: 'The mandate has ended.',
    nl: 'Het mandaat is beëindigd.',
  },
  'mandate.suspended': {
    who: 'us',
    retry: 'when_released',
    grpc: 'PERMISSION_DENIED',
    http: 403,
    en: 'The operator has stopped this party; its mandates stand, and give nothing until the operator lets it go on.',
    nl: 'De beheerder heeft deze partij stilgezet; haar mandaten staan, en geven niets tot de beheerder haar weer laat gaan.',
  },
  'school.closed': {
    who: 'school',
    retry: 'backoff',
    grpc: 'UNAVAILABLE',
    http: 503,
    en: 'The school, or whom it asked to, holds the key to its data, and does not let the gateway use it now; what waits goes on once it does.',
    nl: 'De school, of wie zij dat gevraagd heeft, bewaart de sleutel van haar gegevens en laat de gateway die nu niet gebruiken; wat wacht gaat verder zodra dat weer mag.',
  },
  'product.unknown': {
    who: 'sender',
    retry: 'backoff',
    grpc: 'NOT_FOUND',
    http: 404,
    en: 'No publisher has published this product.',
    nl: 'Dit product is door geen uitgever aangeboden.',
  },
  'learner.unknown': {
    who: 'sender',
    retry: 'backoff',
    grpc: 'NOT_FOUND',
    http: 404,
    en: 'This learner is not known at this school.',
    nl: 'Deze leerling is niet bekend bij deze school.',
  },
  'learner.no_eck_id': {
    who: 'sender',
    retry: 'backoff',
    grpc: 'FAILED_PRECONDITION',
    http: 422,
    en: 'No ECK iD of this learner is known.',
    nl: 'Van deze leerling is geen ECK iD bekend.',
  },
  'product.ended': {
    who: 'sender',
    retry: 'never',
    grpc: 'FAILED_PRECONDITION',
    http: 410,
    en: 'The product, or this edition of it, is not offered any more on that day.',
    nl: 'Het product, of deze editie ervan, wordt op die dag niet meer aangeboden.',
  },
  'product.no_link': {
    who: 'peer',
    retry: 'backoff',
    grpc: 'FAILED_PRECONDITION',
    http: 422,
    en: 'The publisher does not say where the product is opened.',
    nl: 'De uitgever zegt niet waar het product geopend wordt.',
  },
  'launch.spent': {
    who: 'sender',
    retry: 'never',
    grpc: 'FAILED_PRECONDITION',
    http: 410,
    en: 'The launch was redeemed before or is too old.',
    nl: 'De start is al gebruikt of verlopen.',
  },
  'state.missing': {
    who: 'sender',
    retry: 'backoff',
    grpc: 'NOT_FOUND',
    http: 404,
    en: 'Nothing is known under this id.',
    nl: 'Onder dit nummer is niets bekend.',
  },
  'state.conflict': {
    who: 'sender',
    retry: 'never',
    grpc: 'ABORTED',
    http: 409,
    en: 'This contradicts what is already recorded.',
    nl: 'Dit is in strijd met wat al vastligt.',
  },
  'count.used_up': {
    who: 'sender',
    retry: 'never',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    en: 'The counted licences are used up.',
    nl: 'Het aantal licenties is op.',
  },
  'entitlement.not_started': {
    who: 'sender',
    retry: 'backoff',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    en: 'The entitlement has not started yet.',
    nl: 'Het recht is nog niet ingegaan.',
  },
  'entitlement.expired': {
    who: 'sender',
    retry: 'never',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    en: 'The entitlement has expired.',
    nl: 'Het recht is verlopen.',
  },
  'entitlement.blocked': {
    who: 'sender',
    retry: 'never',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    en: 'The entitlement is withdrawn or blocked.',
    nl: 'Het recht is ingetrokken of geblokkeerd.',
  },
  'entitlement.missing': {
    who: 'peer',
    retry: 'backoff',
    grpc: 'NOT_FOUND',
    http: 404,
    en: 'The seller has confirmed but not granted yet.',
    nl: 'De verkoper heeft bevestigd maar nog niets toegekend.',
  },
  'entitlement.unassigned': {
    who: 'peer',
    retry: 'backoff',
    grpc: 'NOT_FOUND',
    http: 404,
    en: 'Granted by count, and given to no learner yet.',
    nl: 'In aantal toegekend, en nog aan geen leerling gegeven.',
  },
  'access.unprovisioned': {
    who: 'peer',
    retry: 'backoff',
    grpc: 'NOT_FOUND',
    http: 404,
    en: 'Granted, and the platform has not said that it is ready for the learner.',
    nl: 'Toegekend, en het platform heeft nog niet gemeld dat het klaarstaat voor de leerling.',
  },
  'order.unconfirmed': {
    who: 'peer',
    retry: 'backoff',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    en: 'The seller has not confirmed this order yet.',
    nl: 'De verkoper heeft deze bestelling nog niet bevestigd.',
  },
  'peer.unavailable': {
    who: 'peer',
    retry: 'backoff',
    grpc: 'UNAVAILABLE',
    http: 503,
    en: 'The other party did not take the message.',
    nl: 'De andere partij nam het bericht niet aan.',
  },
  'peer.refused': {
    who: 'peer',
    retry: 'never',
    grpc: 'FAILED_PRECONDITION',
    http: 502,
    en: 'The other party refused the message.',
    nl: 'De andere partij weigerde het bericht.',
  },
  'peer.unknown_outcome': {
    who: 'peer',
    retry: 'same_key',
    grpc: 'DEADLINE_EXCEEDED',
    http: 504,
    en: 'It may have happened; ask, or repeat with the same key.',
    nl: 'Het kan gebeurd zijn; vraag na of herhaal met dezelfde sleutel.',
  },
  'cursor.expired': {
    who: 'receiver',
    retry: 'relist',
    grpc: 'OUT_OF_RANGE',
    http: 410,
    en: 'The cursor is older than what is kept: list, then watch.',
    nl: 'De cursor is te oud: haal alles op en volg daarna.',
  },
  'log.gap': {
    who: 'us',
    retry: 'never',
    grpc: 'DATA_LOSS',
    http: 500,
    en: 'A number is missing on the log; this lane has stopped.',
    nl: 'Er ontbreekt een nummer; deze baan staat stil.',
  },
  'hold.pending': {
    who: 'school',
    retry: 'when_released',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    en: 'This waits for approval.',
    nl: 'Dit wacht op goedkeuring.',
  },
  'hold.operator': {
    who: 'us',
    retry: 'when_released',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    en: 'This is for the operator of the gateway to begin.',
    nl: 'Dit moet de beheerder van de gateway beginnen.',
  },
  'freeze.holds': {
    who: 'us',
    retry: 'when_released',
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    en: 'A freeze holds: until it ends nothing is taken away or disturbed.',
    nl: 'Er geldt een bevriezing: tot het einde daarvan wordt niets weggenomen of verstoord.',
  },
  'gateway.disk_full': {
    who: 'us',
    retry: 'backoff',
    grpc: 'RESOURCE_EXHAUSTED',
    http: 507,
    en: 'The gateway has no room on disk; nothing was taken in.',
    nl: 'De gateway heeft geen schijfruimte; er is niets aangenomen.',
  },
  'gateway.clear_data': {
    who: 'us',
    retry: 'never',
    grpc: 'INTERNAL',
    http: 500,
    en: 'Identity stood where none may be; the key is parked.',
    nl: 'Er stond een identiteit waar die niet mag; de sleutel is geparkeerd.',
  },
  'gateway.bug': {
    who: 'us',
    retry: 'never',
    grpc: 'INTERNAL',
    http: 500,
    en: 'The gateway made an error; it has been recorded.',
    nl: 'De gateway maakte een fout; die is vastgelegd.',
  },
} as const satisfies Record<string, FaultRow>;

export type Fault = keyof typeof faults;

/** One place in a document that is wrong: a path such as `learners[3].las_key`, never a value. */
export interface Where {
  path: string;
  /** One-based line in the sender's file, where there is one. */
  line?: number;
}

/**
 * The one error class. `told` is for the other party and quotes no value; `where` points into the document; `cause` is
 * for our log only, and only after redaction.
 */
export class GatewayError extends Error {
  readonly fault: Fault;
  readonly told: string;
  readonly where: readonly Where[];
  /** Seconds after which a repeat makes sense, where we know: always where the gateway itself is why. */
  readonly retryAfterS: number | undefined;

  constructor(
    fault: Fault,
    told?: string,
    more: { where?: readonly Where[] | string; cause?: unknown; retryAfterS?: number } = {},
  ) {
    super(`${fault}: ${told ?? faults[fault].en}`, { cause: more.cause });
    this.name = 'GatewayError';
    this.fault = fault;
    this.told = told ?? faults[fault].en;
    this.where = typeof more.where === 'string' ? [{ path: more.where }] : (more.where ?? []);
    this.retryAfterS = more.retryAfterS ?? comeBackS[fault];
  }

  get row(): FaultRow {
    return faults[this.fault];
  }
}

/** When to come back at the earliest, in seconds, where whoever refuses knows nothing better. */
export const comeBackS: Partial<Record<Fault, number>> = {
  'gateway.overloaded': 1,
  'gateway.stopping': 5,
  'gateway.unavailable': 1,
  'gateway.late': 1,
  'school.closed': 30,
  'gateway.disk_full': 60,
};

export const isFault = (code: string): code is Fault => Object.hasOwn(faults, code);

/** Anything thrown, as a `GatewayError`: what is not ours is our bug. */
export function asGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  const code = (thrown as { code?: unknown })?.code;
  if (
    code === 'ENOSPC' ||
    code === 'SQLITE_FULL' ||
    /database or disk is full/.test(String((thrown as Error)?.message))
  )
    return new GatewayError('gateway.disk_full', undefined, { cause: thrown });
  return new GatewayError('gateway.bug', undefined, { cause: thrown });
}
