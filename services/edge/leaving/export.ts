/**
 * All that is held of a school, for the school: `eduk school export`. It is written on the gateway's own machine, because
 * nothing of a person leaves by an operator's answer. How and why: docs/decisions/0036.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { fromCore, write } from '#adapters/edexml';
import { type Client, GatewayError, isSchoolOin } from '#kernel';
import { Roster } from '#proto/eduk/core/v1/learner';
import {
  entitlementStateToJSON,
  formToJSON,
  fundToJSON,
  lineStateToJSON,
  ownershipToJSON,
  Payer,
  payerToJSON,
  ResultPayload,
  renewalToJSON,
  resultKindToJSON,
} from '#proto/eduk/core/v1/ordering';
import { mandateStateToJSON, processingPurposeToJSON, serviceToJSON } from '#proto/eduk/core/v1/party';
import type { ExportedFile, ExportSchoolRequest, ExportSchoolResponse } from '#proto/eduk/operator/v1/operator';
import type { HeldPerson, HeldText } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import type { RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { everyoneHeld, everyTextHeld } from '#release';
import type { Door } from '../submission.ts';
import { readMe } from './readme.ts';
import { csvOf, descriptionOf, joined, type RowsOf, type TableName, tables } from './tables.ts';

/** What releases and reveals of an export are for. */
export const PURPOSE = 'school_export';
/** Rows of a service, and payloads, that are asked for at once. */
const PAGE = 500;

type YearRoster = Awaited<ReturnType<Client<typeof RostersServiceDefinition>['getRoster']>> & { schoolYear: string };

/** What a school's owners answered, without identity. */
interface Gathered {
  rosters: YearRoster[];
  results: Awaited<ReturnType<typeof resultsOf>>;
  entitlements: Awaited<ReturnType<typeof entitlementsOf>>;
  orders: Awaited<ReturnType<typeof ordersOf>>;
  launches: Awaited<ReturnType<typeof launchesOf>>;
  releases: Awaited<ReturnType<typeof releasesOf>>;
}

/** A file to write. */
interface Made {
  name: string;
  rows: number;
  text: string;
}

/**
 * Writes the folder, whole or not at all. Faults: wire.invalid (no absolute folder, no school), state.missing (a school nobody
 * knows), state.conflict (something is there, or it cannot be made), school.closed.
 */
export async function exportSchool(
  { schoolOin, folder }: ExportSchoolRequest,
  door: Door,
): Promise<ExportSchoolResponse> {
  if (!isSchoolOin(schoolOin)) throw new GatewayError('wire.invalid', 'This is no school.', { where: 'school_oin' });
  if (!isAbsolute(folder)) throw new GatewayError('wire.invalid', 'Name a whole path.', { where: 'folder' });
  if (existsSync(folder) || !existsSync(dirname(folder)))
    throw new GatewayError('state.conflict', 'The folder is there already, or the one that it is to stand in is not.', {
      where: 'folder',
    });
  const { services, chain, clock } = door;
  const { rosters: years } = await services.rosters.listSchools({ schoolOin });
  if (!chain.knowsSchool(schoolOin) && years.length === 0)
    throw new GatewayError('state.missing', 'No school is known under this OIN.', { where: 'school_oin' });

  const madeAt = `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;
  const mandates = chain.mandates().filter((mandate) => mandate.schoolOin === schoolOin);
  const named = [...new Set(mandates.flatMap(({ partyOin, pairwise }) => (pairwise ? [partyOin] : [])))].sort();
  const receivers = named.map((partyOin) => ({ partyOin, pseudonyms: chain.standing(partyOin)?.pseudonyms ?? 0 }));
  const [rosters, results, entitlements, orders, launches, releases, people, texts] = await Promise.all([
    Promise.all(years.map(({ schoolYear }) => rosterOf(door, schoolOin, schoolYear))),
    resultsOf(door, schoolOin),
    entitlementsOf(door, schoolOin),
    ordersOf(door, schoolOin),
    launchesOf(door, schoolOin),
    releasesOf(door, schoolOin),
    everyoneHeld(services.vault, schoolOin, PURPOSE, receivers),
    everyTextHeld(services.vault, schoolOin, PURPOSE, receivers),
  ]);
  const gathered: Gathered = { rosters, results, entitlements, orders, launches, releases };
  const about = { schoolOin, madeAt, mandates, receivers, nameOf: (oin: string) => chain.party(oin)?.name ?? '' };
  // Everything that is open is written right here, and lives no longer than this.
  return people.reveal((all) =>
    texts.reveal((held) => {
      const words = new Map(held.map(({ token, text }) => [token, text]));
      const known = all.filter(({ forgetting }) => !forgetting);
      const rows = rowsOf(gathered, known, held, about);
      const { made, losses } = rosterFiles(gathered.rosters, known, words, about);
      const files = [...made, ...tableFiles(rows)];
      const forgetting = all.length - known.length;
      const described = [
        { name: 'beschrijving.json', rows: 0, text: `${JSON.stringify(descriptionOf(madeAt), null, 2)}\n` },
        ...(losses.length === 0
          ? []
          : [{ name: 'edexml-weggelaten.txt', rows: 0, text: losses.join('\n').concat('\n') }]),
        {
          name: 'LEESMIJ.txt',
          rows: 0,
          text: readMe({ schoolOin, name: about.nameOf(schoolOin), madeAt, files, losses: losses.length, forgetting }),
        },
      ];
      return {
        files: writeFolder(folder, [...files, ...described]),
        forgetting: BigInt(forgetting),
        losses: BigInt(losses.length),
      };
    }),
  );
}

/** A row of another school here is a mistake of ours, and nothing is written. */
function ofSchool<Row>(rows: readonly Row[], schoolOin: string, oinOf: (row: Row) => string): readonly Row[] {
  if (rows.some((row) => oinOf(row) !== schoolOin))
    throw new GatewayError('gateway.bug', 'What was asked of one school came with another’s.');
  return rows;
}

async function rosterOf({ services }: Door, schoolOin: string, schoolYear: string): Promise<YearRoster> {
  const asked = { schoolOin, schoolYear, limit: PAGE, after: '', siteCode: '' };
  const roster = await services.rosters.getRoster(asked);
  for (let { next } = roster; next !== ''; ) {
    const page = await services.rosters.getRoster({ ...asked, after: next });
    roster.learners.push(...page.learners);
    next = page.next;
  }
  return { ...roster, schoolYear };
}

/** With their payloads; without those of learners who were forgotten. */
async function resultsOf({ services }: Door, schoolOin: string) {
  const all = [];
  for (let after = ''; ; ) {
    const { results, next } = await services.results.listResults({
      schoolOin,
      learner: '',
      group: '',
      productId: '',
      fromOin: '',
      limit: PAGE,
      after,
    });
    const own = ofSchool(results, schoolOin, (row) => row.schoolOin);
    const { data } =
      own.length === 0
        ? { data: [] }
        : await services.vault.openPayloads({
            schoolOin,
            sealed: own.map(({ learner, payload }) => ({ token: learner, sealed: payload, context: 'result' })),
            partyOin: schoolOin,
            purpose: PURPOSE,
          });
    for (const [i, entry] of own.entries()) {
      const bytes = data[i]!;
      if (bytes.length > 0) all.push({ entry, payload: ResultPayload.decode(bytes) });
    }
    if (next === '') return all;
    after = next;
  }
}

/** With their activation codes. */
async function entitlementsOf({ services }: Door, schoolOin: string) {
  const all = [];
  for (let after = ''; ; ) {
    const { entitlements, next } = await services.entitlements.listEntitlements({
      schoolOin,
      learner: '',
      groups: [],
      productId: '',
      partyOin: '',
      limit: PAGE,
      after,
      orderId: '',
      waiting: true,
    });
    const own = ofSchool(entitlements, schoolOin, (row) => row.schoolOin);
    const sealed = own.filter(({ activationCode }) => activationCode.length > 0);
    const { data } =
      sealed.length === 0
        ? { data: [] }
        : await services.vault.openPayloads({
            schoolOin,
            sealed: sealed.map(({ activationCode }) => ({
              token: '',
              sealed: activationCode,
              context: 'activation_code',
            })),
            partyOin: schoolOin,
            purpose: PURPOSE,
          });
    const codes = new Map(sealed.map((row, i) => [row, Buffer.from(data[i]!).toString('utf8')]));
    all.push(...own.map((row) => ({ row, code: codes.get(row) ?? '' })));
    if (next === '') return all;
    after = next;
  }
}

async function ordersOf({ services }: Door, schoolOin: string) {
  const all = [];
  for (let after = ''; ; ) {
    const { orders, next } = await services.orders.listOrders({
      partyOin: '',
      schoolOin,
      productId: '',
      learner: '',
      limit: PAGE,
      after,
      waiting: true,
    });
    all.push(...ofSchool(orders, schoolOin, (row) => row.schoolOin));
    if (next === '') return all;
    after = next;
  }
}

async function launchesOf({ services }: Door, schoolOin: string) {
  const all = [];
  for (let after = ''; ; ) {
    const { launches, next } = await services.access.listLaunches({ schoolOin, limit: PAGE, after });
    all.push(...ofSchool(launches, schoolOin, (row) => row.schoolOin));
    if (next === '') return all;
    after = next;
  }
}

async function releasesOf({ services }: Door, schoolOin: string) {
  const { rows } = await services.audit.listAccess({ schoolOin, fromDay: '', toDay: '' });
  return ofSchool(rows, schoolOin, (row) => row.schoolOin);
}

type About = {
  schoolOin: string;
  madeAt: string;
  mandates: ReturnType<Door['chain']['mandates']>;
  receivers: readonly { partyOin: string }[];
  nameOf(oin: string): string;
};

/** `LINE_STATE_PLACED` → `placed`; what is not said is empty. */
const word = (name: string, prefix: string): string =>
  name === `${prefix}UNSPECIFIED` ? '' : name.slice(prefix.length).toLowerCase();

const moment = (ms: bigint): string => (ms === 0n ? '' : new Date(Number(ms)).toISOString());

function rowsOf(
  { rosters, results, entitlements, orders, launches, releases }: Gathered,
  people: readonly HeldPerson[],
  texts: readonly HeldText[],
  { mandates, receivers, nameOf }: About,
): RowsOf {
  const known = new Set(people.map(({ token }) => token));
  // Of whom nothing is held any more, or who waits to be forgotten, nothing is named.
  const who = (token: string): string => (known.has(token) ? token : '');
  const words = new Map(texts.map((one) => [one.token, one.text]));
  const text = (token: string): string => words.get(token) ?? '';
  const keys = new Set(
    rosters.flatMap(({ groups, sites }) => [...groups.map(({ group }) => group), ...sites.map(({ site }) => site)]),
  );
  const byCustomer = new Set(
    orders.flatMap(({ orderId, lines }) =>
      lines.flatMap(({ line }) =>
        line?.terms?.payer === Payer.PAYER_CUSTOMER ? [`${orderId}/${line.terms.lineId}`] : [],
      ),
    ),
  );
  return {
    people: people.map(({ token, kind, person, mergedInto }) => ({
      kenmerk: token,
      soort: kind === 'staff' ? 'medewerker' : 'leerling',
      achternaam: person?.familyName,
      voorvoegsel: person?.familyNamePrefix,
      voornamen: person?.givenNames,
      voorletters: person?.initials,
      roepnaam: person?.callName,
      geboortedatum: person?.birthDate,
      geslacht: person?.gender,
      emailadres: person?.email,
      gebruikersnaam: person?.accountName,
      // Who was destroyed is named nowhere.
      zelfde_als: who(mergedInto),
    })),
    keys: people.flatMap(({ token, refs }) =>
      refs.map(({ eckId, lasKey }, i) => ({ kenmerk: token, volgorde: i + 1, eck_id: eckId, sleutel: lasKey })),
    ),
    pseudonyms: people.flatMap(({ token, pseudonyms }) =>
      receivers.map(({ partyOin }, i) => ({
        kenmerk: token,
        ontvanger_oin: partyOin,
        ontvanger: nameOf(partyOin),
        pseudoniem: pseudonyms[i],
      })),
    ),
    groupPseudonyms: texts
      .filter(({ token }) => keys.has(token))
      .flatMap(({ text: sleutel, pseudonyms }) =>
        receivers.map(({ partyOin }, i) => ({
          sleutel,
          ontvanger_oin: partyOin,
          ontvanger: nameOf(partyOin),
          pseudoniem: pseudonyms[i],
        })),
      ),
    groups: rosters.flatMap(({ schoolYear, groups }) =>
      groups.map(({ group, name, description, yearGroup, composite, siteCodes }) => ({
        schooljaar: schoolYear,
        groep: text(group),
        naam: text(name),
        omschrijving: text(description),
        jaargroep: yearGroup,
        samengesteld: composite,
        vestigingscodes: joined(siteCodes),
      })),
    ),
    enrolments: rosters.flatMap(({ schoolYear, learners }) =>
      learners
        .filter(({ learner }) => known.has(learner))
        .map((one) => ({
          schooljaar: schoolYear,
          kenmerk: one.learner,
          jaargroep: one.yearGroup,
          groep: text(one.group),
          samengestelde_groepen: joined(one.compositeGroups.map(text)),
          vestiging: text(one.site),
          vestigingscodes: joined(one.siteCodes),
          instroomdatum: one.entersOn,
          uitstroomdatum: one.leavesOn,
        })),
    ),
    duties: rosters.flatMap(({ schoolYear, staff }) =>
      staff
        .filter(({ staff: token }) => known.has(token))
        .flatMap(({ staff: kenmerk, duties, groups }) => [
          ...(duties.length > 0 || groups.length === 0
            ? [{ schooljaar: schoolYear, kenmerk, groep: '', rollen: joined(duties) }]
            : []),
          ...groups.map((of) => ({
            schooljaar: schoolYear,
            kenmerk,
            groep: text(of.group),
            rollen: joined(of.duties),
          })),
        ]),
    ),
    results: results
      .filter(({ entry }) => known.has(entry.learner))
      .map(({ entry, payload }) => ({
        resultaat: entry.resultId,
        kenmerk: entry.learner,
        product: entry.productId,
        groep: text(entry.group),
        soort: word(resultKindToJSON(entry.kind), 'RESULT_KIND_'),
        dag: entry.day,
        van_oin: entry.byOin,
        van: nameOf(entry.byOin),
        activiteit: payload.activityId,
        activiteit_naam: payload.activityName,
        onderdeel: payload.partId,
        gedaan_procent: payload.donePercent,
        opgaven_gedaan: payload.exercisesDone,
        opgaven_totaal: payload.exercisesTotal,
        seconden: payload.secondsSpent,
        score: payload.score,
        score_max: payload.scoreMax,
        beoordeling: payload.grade,
        gemaakt_op: payload.takenAt,
        definitie: payload.definition,
      })),
    entitlements: entitlements.map(({ row, code }) => {
      const { orderId = '', lineId = '' } = row.terms ?? {};
      const isOwn = !byCustomer.has(`${orderId}/${lineId}`);
      return {
        licentie: row.terms?.entitlementId,
        product: row.terms?.productId,
        kenmerk: who(row.holder?.learner ?? ''),
        groep: text(row.holder?.group ?? ''),
        bestelling: isOwn ? orderId : '',
        regel: isOwn ? lineId : '',
        van: row.terms?.startsOn,
        tot: row.terms?.endsOn,
        resultaten_tot: row.terms?.resultsReadableUntil,
        aantal: row.terms?.count,
        gebruikt: row.taken,
        uit_licentie: row.terms?.fromEntitlementId,
        stand: row.outcome === 'granted' ? word(entitlementStateToJSON(row.state), 'ENTITLEMENT_STATE_') : row.outcome,
        activeringscode: code,
        toegekend_door_oin: row.grantedByOin,
        uitgever_oin: row.publisherOin,
        platform_oin: row.platformOin,
        eerst_gebruikt: row.firstUsedOn,
        oorzaak: row.cause,
      };
    }),
    orders: orders.flatMap((order) =>
      order.lines
        .filter(({ line }) => line?.terms?.payer !== Payer.PAYER_CUSTOMER)
        .map(({ line, state, reason, day }) => ({
          bestelling: order.orderId,
          koper_oin: order.buyerOin,
          geplaatst: moment(order.placedMs),
          uitkomst: order.outcome,
          regel: line?.terms?.lineId,
          product: line?.terms?.productId,
          aantal: line?.terms?.quantity,
          kenmerk: who(line?.learner ?? ''),
          groep: text(line?.group ?? ''),
          fonds: word(fundToJSON(line?.terms?.fund ?? 0), 'FUND_'),
          betaler: word(payerToJSON(line?.terms?.payer ?? 0), 'PAYER_'),
          vorm: word(formToJSON(line?.terms?.form ?? 0), 'FORM_'),
          eigendom: word(ownershipToJSON(line?.terms?.ownership ?? 0), 'OWNERSHIP_'),
          verlenging: word(renewalToJSON(line?.terms?.renewal ?? 0), 'RENEWAL_'),
          opzeggen_voor: line?.terms?.noticeBy,
          terug_voor: line?.terms?.returnBy,
          van: line?.terms?.startsOn,
          tot: line?.terms?.endsOn,
          verkoper_oin: line?.sellerOin,
          stand: word(lineStateToJSON(state), 'LINE_STATE_'),
          reden: reason,
          dag: day,
        })),
    ),
    launches: launches.map((row) => ({
      start: row.launchId,
      kenmerk: who(row.learner),
      product: row.productId,
      licentie: row.entitlementId,
      platform_oin: row.platformOin,
      moment: moment(row.createdMs),
      uitkomst: row.outcome,
      reden: row.code,
      ingewisseld_door_oin: row.redeemedByOin,
    })),
    releases: releases.map(({ day, partyOin, purpose, attributes, times, people: shown, lastIndex }) => ({
      dag: day,
      ontvanger_oin: partyOin,
      ontvanger: nameOf(partyOin),
      doel: purpose,
      gegevens: joined(attributes),
      keren: times,
      personen: shown,
      blad: lastIndex,
    })),
    mandates: mandates.map((one) => ({
      mandaat: one.mandateId,
      partij_oin: one.partyOin,
      partij: nameOf(one.partyOin),
      diensten: joined(one.services.map((service) => word(serviceToJSON(service), 'SERVICE_'))),
      doelen: joined(one.purposes.map((purpose) => word(processingPurposeToJSON(purpose), 'PROCESSING_PURPOSE_'))),
      gegevens: joined(one.attributes),
      vestigingscodes: joined(one.siteCodes),
      stand: word(mandateStateToJSON(one.state), 'MANDATE_STATE_'),
      van: one.validFrom,
      tot: one.validUntil,
      loopt_af_tot: one.runOffUntil,
      overeenkomst: one.agreement,
      versie: one.agreementVersion,
      eigen_pseudoniemen: one.pairwise,
      bestuur_oin: one.boardOin,
      bevestigd_door_oin: one.confirmedBy,
    })),
    texts: texts.map(({ token, text: tekst }) => ({ kenmerk: token, tekst })),
  };
}

const tableFiles = (rows: RowsOf): Made[] =>
  (Object.keys(tables) as TableName[]).map((name) => ({
    name: tables[name].file,
    rows: rows[name].length,
    text: csvOf(tables[name], rows[name]),
  }));

/** Who is known by several tokens, with what is known of the other ones where it is not known of the one that rosters name. */
function whole(people: readonly HeldPerson[]): HeldPerson[] {
  const seconds = Map.groupBy(
    people.filter(({ mergedInto }) => mergedInto !== ''),
    ({ mergedInto }) => mergedInto,
  );
  return people.map((one) => {
    const others = seconds.get(one.token);
    if (!others) return one;
    const all = [one, ...others].flatMap(({ person }) => person ?? []);
    const named = all.find(({ familyName, callName, givenNames }) => familyName || callName || givenNames);
    const born = all.find(({ birthDate, gender }) => birthDate || gender);
    const { email = '', accountName = '' } = all.find((person) => person.email || person.accountName) ?? {};
    const person = named && {
      ...named,
      birthDate: born?.birthDate ?? '',
      gender: born?.gender ?? '',
      email,
      accountName,
    };
    return { ...one, refs: [...others.flatMap(({ refs }) => refs), ...one.refs], person: person ?? one.person };
  });
}

/** An EDEXML file of each school year, and the lines that say what it has no room for. */
function rosterFiles(
  rosters: readonly YearRoster[],
  people: readonly HeldPerson[],
  texts: ReadonlyMap<string, string>,
  { schoolOin, madeAt }: About,
): { made: Made[]; losses: string[] } {
  const text = (token: string): string => texts.get(token) ?? '';
  const byToken = new Map(whole(people).map((one) => [one.token, one]));
  /** The newest numbers: those that the administration has now. Without a key one that it does not promise to keep. */
  const refOf = ({ token, refs }: HeldPerson) => ({
    eckId: refs.findLast(({ eckId }) => eckId !== '')?.eckId ?? '',
    lasKey: refs.findLast(({ lasKey }) => lasKey !== '')?.lasKey ?? `#${token}`,
  });
  const made: Made[] = [];
  const losses: string[] = [];
  for (const { schoolYear, asOf, sites, groups, learners, staff } of rosters) {
    const roster = Roster.fromPartial({
      schoolOin,
      schoolYear,
      asOf,
      madeAt,
      sites: sites.map(({ site, name, description }) => ({
        key: text(site),
        name: text(name),
        description: text(description),
      })),
      groups: groups.map(({ group, name, description, yearGroup, composite }) => ({
        key: text(group),
        name: text(name),
        description: text(description),
        yearGroup,
        composite,
      })),
      learners: learners.flatMap((entry) => {
        const one = byToken.get(entry.learner);
        return one === undefined
          ? []
          : [
              {
                ref: refOf(one),
                ...(one.person ? { person: one.person } : {}),
                yearGroup: entry.yearGroup,
                groupKey: text(entry.group),
                compositeGroupKeys: entry.compositeGroups.map(text),
                siteKey: text(entry.site),
                entersOn: entry.entersOn,
                leavesOn: entry.leavesOn,
              },
            ];
      }),
      staff: staff.flatMap((entry) => {
        const one = byToken.get(entry.staff);
        return one === undefined
          ? []
          : [
              {
                ref: refOf(one),
                ...(one.person ? { person: one.person } : {}),
                duties: entry.duties,
                groups: entry.groups.map((of) => ({ key: text(of.group), duties: of.duties })),
              },
            ];
      }),
    });
    const name = `edexml-${schoolYear}.xml`;
    const { wire, losses: lost } = fromCore(roster);
    losses.push(...lost.map(({ path, why }) => `${name}: ${path}: ${why}`));
    if (wire) made.push({ name, rows: wire.leerlingen.length + wire.leerkrachten.length, text: write(wire, 'Edu-K') });
  }
  return { made, losses };
}

/** Under another name until it is whole. For the gateway's own user only. */
function writeFolder(folder: string, files: readonly Made[]): ExportedFile[] {
  const part = join(dirname(folder), `.${basename(folder)}.part`);
  try {
    mkdirSync(part, { mode: 0o700 });
  } catch (error) {
    throw new GatewayError('state.conflict', 'The folder cannot be made.', { where: 'folder', cause: error });
  }
  try {
    const sums = files
      .map(({ name, text }) => `${createHash('sha256').update(text).digest('hex')}  ${name}\n`)
      .join('');
    const all = [...files, { name: 'SHA256SUMS', rows: 0, text: sums }];
    const written = all.map(({ name, rows, text }): ExportedFile => {
      const bytes = writeFile(join(part, name), text);
      return { name, rows: BigInt(rows), bytes: BigInt(bytes) };
    });
    syncFolder(part);
    renameSync(part, folder);
    syncFolder(dirname(folder));
    return written;
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    throw new GatewayError('state.conflict', 'The files cannot be written: is the disk full?', {
      where: 'folder',
      cause: error,
    });
  }
}

function writeFile(path: string, text: string): number {
  const bytes = Buffer.from(text, 'utf8');
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return bytes.length;
}

/** Windows knows no such thing. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
