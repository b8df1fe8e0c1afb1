/**
 * What an administration says when it does not do what we ask (UWLR 2.2 §3.8), in our words: which fault it is, who must
 * act, and how far it reaches. Of its own words nothing goes further: they may quote what we sent.
 */
import { faultIn, type XmlElement } from '#adapters/xml';
import { type Fault, GatewayError, type Who } from '#kernel';

/** How far a fault reaches: this administration, all that is of this school, or this message alone. */
export type Reach = 'administration' | 'school' | 'message';

export interface PeerFaultRow {
  /** The standard's, unprefixed; `Client` and `Server` stand for codes that are nobody's. */
  faultcode: string;
  fault: Extract<Fault, 'peer.unavailable' | 'peer.refused'>;
  who: Who;
  reach: Reach;
  /** In English, for the operator. */
  told: string;
}

export const peerFaults: readonly PeerFaultRow[] = [
  {
    faultcode: 'Client.AutorisatieOngeldig',
    fault: 'peer.refused',
    who: 'school',
    reach: 'school',
    told: 'The administration does not take the autorisatiesleutel for this school: the school must hand out the right one.',
  },
  {
    faultcode: 'Client.OngeldigeKlantIdentificatie',
    fault: 'peer.refused',
    who: 'us',
    reach: 'school',
    told: 'The administration knows neither klantcode and klantnaam, or not this school: look at its settings file.',
  },
  {
    faultcode: 'Client.XsdVersieOngeldig',
    fault: 'peer.refused',
    who: 'us',
    reach: 'administration',
    told: 'The administration speaks another version: look at its settings file.',
  },
  {
    faultcode: 'Client.OngeldigBericht',
    fault: 'peer.refused',
    who: 'us',
    reach: 'message',
    told: 'The administration does not understand what we sent: look at its settings file.',
  },
  {
    faultcode: 'Client.LeerlingOngeldig',
    fault: 'peer.refused',
    who: 'school',
    reach: 'message',
    told: 'The administration does not know this learner.',
  },
  {
    faultcode: 'Client.VocabulaireTermOngeldig',
    fault: 'peer.refused',
    who: 'sender',
    reach: 'message',
    told: 'The administration does not know a term of this result.',
  },
  {
    faultcode: 'Client.ToetsNormeringOngeldig',
    fault: 'peer.refused',
    who: 'sender',
    reach: 'message',
    told: 'The administration does not take the scale of this result.',
  },
  {
    faultcode: 'Client.ScoreOngeldig',
    fault: 'peer.refused',
    who: 'sender',
    reach: 'message',
    told: 'The administration does not take the score of this result.',
  },
  {
    faultcode: 'Client.EldResultaatOngeldig',
    fault: 'peer.refused',
    who: 'sender',
    reach: 'message',
    told: 'The administration does not take the parts of this result.',
  },
  {
    faultcode: 'Server.TijdelijkNietBeschikbaar',
    fault: 'peer.unavailable',
    who: 'peer',
    reach: 'administration',
    told: 'The administration says that it is not available for a while.',
  },
  {
    faultcode: 'Server.InterneFout',
    fault: 'peer.unavailable',
    who: 'peer',
    reach: 'message',
    told: 'The administration has a failure of its own.',
  },
  {
    faultcode: 'Client',
    fault: 'peer.refused',
    who: 'us',
    reach: 'message',
    told: 'The administration refused what we sent, with a code that is not of the standard.',
  },
  {
    faultcode: 'Server',
    fault: 'peer.unavailable',
    who: 'peer',
    reach: 'message',
    told: 'The administration failed, with a code that is not of the standard.',
  },
];

const byCode = new Map(peerFaults.map((row) => [row.faultcode, row]));

/** An administration refused, or failed, in the words of the standard. */
export class PeerFault extends GatewayError {
  readonly of: PeerFaultRow;
  constructor(row: PeerFaultRow) {
    super(row.fault, row.told);
    this.name = 'PeerFault';
    this.of = row;
  }
}

/** The row of a faultcode, as written by whoever: with a prefix, in another case, or of no standard at all. */
export function peerFaultOf(faultcode: string): PeerFaultRow {
  const bare = faultcode.trim().replace(/^[^:]*:/, '');
  const known = [...byCode.keys()].find((code) => code.toLowerCase() === bare.toLowerCase());
  if (known !== undefined) return byCode.get(known)!;
  return byCode.get(/^client/i.test(bare) ? 'Client' : 'Server')!;
}

/** Throws `PeerFault` where an answer is a fault. */
export function refuseFault(body: XmlElement): void {
  const fault = faultIn(body);
  if (fault) throw new PeerFault(peerFaultOf(fault.faultcode));
}
