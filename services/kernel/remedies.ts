import type { Fault } from './errors.ts';

/** What to do about a cause. */
export const remedies: Partial<Record<Fault, string>> = {
  'school.closed':
    'The school, or whom it asked to hold its key, lets the gateway use it again; then all goes on by itself, in order: eduk key list.',
  'mandate.missing': 'The school grants a mandate for this service to this party.',
  'mandate.unconfirmed': 'The school confirms the mandate; what waits is then sent in order.',
  'mandate.unaccepted':
    'The party accepts the mandate (AcceptMandate, or eduk mandate accept) or refuses it; what waits is then sent in order.',
  'mandate.ended': 'The school grants a new mandate, or the order moves to another supplier.',
  'mandate.suspended':
    'The operator lets the party go on (eduk party resume); what waits is then sent in order. No school has to act.',
  'product.unknown':
    'The publisher publishes the product, or the buyer corrects the product id; after 24 hours it is refused.',
  'count.used_up': 'The buyer orders more licences, or the seller withdraws unused ones.',
  'hold.pending': 'Someone of the school looks at the difference and approves or rejects it: eduk hold list.',
  'freeze.holds':
    'Nobody has to act: it goes on by itself when the freeze ends. Earlier: eduk freeze list, eduk freeze end.',
  'hold.operator': 'The operator of the gateway begins it: eduk replay run.',
  'gateway.bug': 'We look at the parked key: eduk dead list, then eduk dead retry.',
  'gateway.clear_data': 'We look at the parked key: eduk dead list.',
  'entitlement.not_started': 'Wait for the first day, or the seller grants an earlier start.',
  'entitlement.expired': 'The buyer orders anew.',
  'entitlement.blocked': 'The seller unblocks it or grants a new one.',
  'entitlement.missing': 'The seller grants the entitlement.',
  'entitlement.unassigned': 'Who orders or grants gives each learner one of the count.',
  'access.unprovisioned': 'The platform makes room for the learner and says so: ProvisionAccess.',
  'order.unconfirmed': 'The seller confirms or refuses the line.',
  'state.conflict': 'The sender corrects the message and sends it under a new id.',
  'state.missing': 'The sender checks the id.',
  'learner.unknown': 'The administration sends the learner in its roster.',
  'learner.no_eck_id': 'The administration fetches the ECK iD of the learner and sends it in its roster.',
  'product.ended': 'The buyer orders what follows it, or another product.',
  'product.no_link': 'The publisher publishes the product with the address where it is opened.',
  'wire.invalid': 'The sender corrects the message.',
  'wire.pgn': 'The sender removes personal numbers.',
  'party.forbidden': 'The operator gives the party the role it needs.',
  'peer.unavailable': 'The receiver mends its endpoint; what waits is then sent in order.',
  'peer.unknown_outcome': 'The receiver looks why it gives no answer; then eduk dead retry.',
  'peer.refused':
    'The receiver looks why it refuses, or names another address; then eduk dead retry or eduk dead drop.',
};
