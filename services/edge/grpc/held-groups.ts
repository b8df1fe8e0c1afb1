/**
 * Withdrawals and blocks that wait, by class. What is held names learners by their tokens; in which class they are the rosters say, and
 * say it anew each time: who changed class meanwhile is of the class that it is in now.
 */
import { GatewayError } from '#kernel';
import type { ChangeHold, HeldChange } from '#proto/eduk/entitlements/v1/entitlements';
import { HeldGroup } from '#proto/eduk/operator/v1/operator';
import { tellRest, tellRow } from '#release';
import { entriesOf } from '../sites.ts';
import type { Door } from '../submission.ts';

/** Learners whom no roster puts in a group, what is of the whole school, and counts. */
export const WITHOUT_CLASS = 'without-class';

/**
 * What groups are called: by the name that the roster of that year gives (empty = the running one), with the key where another of these has
 * the same; else by the key that the administration uses.
 */
export async function namesOfGroups(
  { services }: Pick<Door, 'services'>,
  of: { schoolOin: string; schoolYear: string },
  tokens: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  if (tokens.length === 0) return new Map();
  const { groups } = await services.rosters.getRoster({ ...of, limit: 1, after: '', siteCode: '' });
  const named = new Map(groups.map(({ group, name }) => [group, name]));
  const { texts } = await services.vault.openTexts({
    schoolOin: of.schoolOin,
    tokens: [...tokens, ...tokens.map((token) => named.get(token) || token)],
    keys: [],
    partyOin: '',
  });
  const names = texts.slice(tokens.length);
  return new Map(
    tokens.map((token, i) => {
      const [key, name] = [texts[i] ?? '', names[i] ?? ''];
      const isShared = names.some((other, j) => other === name && tokens[j] !== token);
      return [token, name === '' ? key : isShared && key !== name ? `${name} (${key})` : name];
    }),
  );
}

interface HeldClass {
  group: string;
  /** Of all its learners who lose something; empty = none, or more than one. */
  yearGroup: string;
  changes: HeldChange[];
}

type Asked = Pick<Door, 'services' | 'clock'>;

async function classesOf(door: Asked, hold: ChangeHold): Promise<HeldClass[]> {
  const { schoolOin, holdId } = hold;
  const { changes } = await door.services.entitlements.listHeldChanges({ schoolOin, holdId });
  const entries = await entriesOf(
    door,
    schoolOin,
    changes.map(({ learner }) => learner),
  );
  const classes = new Map<string, HeldClass & { years: Set<string> }>();
  for (const change of changes) {
    const entry = entries.get(change.learner);
    const group = change.group || entry?.group || WITHOUT_CLASS;
    const of = classes.get(group) ?? { group, yearGroup: '', changes: [], years: new Set<string>() };
    classes.set(group, of);
    of.changes.push(change);
    if (entry) of.years.add(entry.yearGroup);
  }
  return [...classes.values()].map(({ years, ...of }) => ({
    ...of,
    yearGroup: of.group !== WITHOUT_CLASS && years.size === 1 ? [...years][0]! : '',
  }));
}

/**
 * Which class loses how much of which product. Counts of learners under ten are not told, nor what they follow from: what a product loses
 * in all is known. Licences of no learner are.
 */
export function heldClasses(door: Asked, hold: ChangeHold): Promise<HeldGroup[]> {
  const known = looked.get(door.services) ?? new Map<string, Looked>();
  looked.set(door.services, known);
  const name = `${hold.schoolOin} ${hold.holdId}`;
  const waits = JSON.stringify([hold.products, hold.byClass]);
  const before = known.get(name);
  const now = door.clock.now();
  if (before?.waits === waits && before.untilMs > now) return before.groups;
  const groups = lossesOf(door, hold);
  if (known.size >= MOST_LOOKED) known.clear();
  known.set(name, { waits, untilMs: now + LOOK_MS, groups });
  // What could not be found out is asked again.
  groups.catch(() => known.delete(name));
  return groups;
}

/**
 * What was found last. A page of the console asks twice a second, and a hold may be of thousands of learners: they are looked up again where
 * something else waits, and else now and then, for who changes class.
 */
interface Looked {
  waits: string;
  untilMs: number;
  groups: Promise<HeldGroup[]>;
}
const LOOK_MS = 5_000;
const MOST_LOOKED = 200;
const looked = new WeakMap<object, Map<string, Looked>>();

async function lossesOf(door: Asked, hold: ChangeHold): Promise<HeldGroup[]> {
  const classes = await classesOf(door, hold);
  const loses = new Map<string, HeldGroup['loses']>(classes.map(({ group }) => [group, []]));
  for (const { productId } of hold.products) {
    const counts = new Map<string, number>();
    const licences = new Map<string, number>();
    for (const { group, changes } of classes)
      for (const change of changes) {
        if (change.productId !== productId) continue;
        const of = change.learner === '' ? licences : counts;
        of.set(group, (of.get(group) ?? 0) + 1);
      }
    const { cells } = hold.byClass ? tellRest(counts) : tellRow(counts, false);
    for (const { group } of classes) {
      const learners = cells.get(group);
      if (!learners && !licences.has(group)) continue;
      loses.get(group)!.push({
        productId,
        learners: { ...(learners ?? { count: 0, underTen: false, hidden: false }), atLeast: false },
        licences: licences.get(group) ?? 0,
      });
    }
  }
  const tokens = classes.flatMap(({ group }) => (group === WITHOUT_CLASS ? [] : [group]));
  const names = await namesOfGroups(door, { schoolOin: hold.schoolOin, schoolYear: '' }, tokens);
  const placeOf = ({ group, yearGroup, name }: HeldGroup): string =>
    [group === WITHOUT_CLASS ? '1' : '0', yearGroup, name, group].join('\n');
  return classes
    .map(({ group, yearGroup }) =>
      HeldGroup.fromPartial({ group, name: names.get(group) ?? '', yearGroup, loses: loses.get(group)! }),
    )
    .sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
}

type Products = { productId: string; entitlements: number; learners: number; atLeast: boolean }[];

/**
 * How much of each product is lost. Of what is left after a part by class was decided only the classes that are told, and nothing once it is
 * decided whole: what it was less by would tell how large a small class was.
 */
export function heldProducts(hold: ChangeHold, groups: readonly HeldGroup[]): Products {
  return hold.products.map(({ productId, entitlements, learners }) => {
    if (!hold.byClass) return { productId, entitlements, learners, atLeast: false };
    const loses = groups.flatMap((group) => group.loses.filter((one) => one.productId === productId));
    const told = loses.reduce((sum, one) => sum + one.learners!.count, 0);
    const licences = loses.reduce((sum, one) => sum + one.licences, 0);
    return { productId, entitlements: told + licences, learners: told, atLeast: true };
  });
}

/** Messages of a hold that are of some classes now, by their numbers. Faults: state.missing where one of them loses nothing. */
export async function messagesOf(
  door: Asked,
  hold: ChangeHold,
  { groups, productIds }: { groups: readonly string[]; productIds: readonly string[] },
): Promise<number[]> {
  if (groups.length === 0) return [];
  const classes = new Map((await classesOf(door, hold)).map((of) => [of.group, of]));
  const at = groups.findIndex((group) => !classes.has(group));
  if (at >= 0)
    throw new GatewayError('state.missing', 'Nothing of this class waits under this hold.', {
      where: `groups[${at}]`,
    });
  const meant = groups
    .flatMap((group) => classes.get(group)!.changes)
    .filter(({ productId }) => productIds.length === 0 || productIds.includes(productId));
  if (meant.length === 0)
    throw new GatewayError('state.missing', 'Nothing of what was named waits under this hold.', { where: 'groups' });
  return [...new Set(meant.map(({ nth }) => nth))].sort((a, b) => a - b);
}
