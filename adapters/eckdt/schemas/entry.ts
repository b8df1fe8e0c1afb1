/**
 * The catalogue record of ECK DT, as data: which fields there are, of what kind, from which version until which, how
 * often. The reader in `wire.ts` checks by this table and `catalogServiceXsd` writes the schema from it, so that the two
 * cannot drift apart. The order of the rows is the order in which records are seen to be written.
 */

/** Every version that this adapter reads, oldest first; a version's namespace ends in `/v` and its number. */
export const versions = ['2.1.1', '2.2', '2.3', '2.4', '2.5', '2.5.1', '2.5.2'] as const;
export type Version = (typeof versions)[number];

export const namespaceStart = 'http://dt2.eck.nl/schema/catalogservice/v';
export const commonNamespaceStart = 'http://dt2.eck.nl/schema/common/v';

/** What a value may look like. Amounts are whole eurocents; a percentage is a decimal between 0 and 100. */
export type Kind = 'text' | 'name' | 'link' | 'flag' | 'count' | 'cents' | 'percentage' | 'moment' | 'duration';

export interface Field {
  kind?: Kind;
  /** Instead of a kind: the fields inside. */
  fields?: Fields;
  /** `any`: each field in any place. `sequence`: in this order. `choice`: exactly one of them. */
  order?: 'any' | 'sequence' | 'choice';
  /** Must be there, says the standard. */
  required?: true;
  /** May occur more than once. */
  many?: true;
  since?: Version;
  until?: Version;
  /** What it stands in cannot be used without it: a reader refuses the record rather than noting the gap. */
  needed?: true;
}
export type Fields = Readonly<Record<string, Field>>;

const words = <const Name extends string>(name: Name) =>
  ({ order: 'sequence', fields: { [name]: { kind: 'text', many: true, required: true } } }) as {
    order: 'sequence';
    fields: { [K in Name]: { kind: 'text'; many: true; required: true } };
  };

const price = {
  order: 'any',
  fields: {
    Amount: { kind: 'cents', required: true, needed: true },
    VAT: { kind: 'percentage', required: true, needed: true },
  },
} as const;

export const entryFields = {
  // ProductData
  ProductId: { kind: 'name', required: true, needed: true },
  Publisher: { kind: 'name', required: true, needed: true },
  PublisherThumbnailLocation: { kind: 'link', required: true },
  ProductThumbnailLocation: { kind: 'link' },
  ProductFamilyName: { kind: 'text' },
  Title: { kind: 'name', required: true, needed: true },
  Authors: { ...words('Author'), required: true },
  Description: { kind: 'text' },
  Environments: {
    order: 'sequence',
    fields: {
      Platform: { kind: 'text', many: true },
      Device: { kind: 'text', many: true },
      Browser: { kind: 'text', many: true },
    },
  },
  ContentLocation: { kind: 'link' },
  AccessLocation: { kind: 'link' },
  SubProducts: words('ProductId'),
  AggregationLevel: { kind: 'text', since: '2.5' },
  IsSeparatelyAvailable: { kind: 'flag', since: '2.5' },
  // Lifecycle
  FirstPublishedDate: { kind: 'moment' },
  DeprecationDate: { kind: 'moment' },
  SupportedUntilDate: { kind: 'moment' },
  EndOfLifeDate: { kind: 'moment' },
  LastRevisionDate: { kind: 'moment' },
  FollowupProduct: { kind: 'text' },
  Edition: { kind: 'text' },
  Version: { kind: 'text' },
  ProductState: { kind: 'text' },
  // Educational
  InformationLocation: { kind: 'link' },
  IntendedEndUserRole: { kind: 'text', required: true },
  Medium: { kind: 'text', required: true },
  IsConsumptionProduct: { kind: 'flag', required: true },
  ProductUsages: words('ProductUsage'),
  // EducationalClassification, in the three lists until 2.4 …
  Sectors: { ...words('Sector'), required: true, until: '2.4' },
  Courses: { ...words('Course'), required: true, until: '2.4' },
  Levels: { ...words('Level'), required: true, until: '2.4' },
  Years: { ...words('Year'), until: '2.4' },
  Subjects: { ...words('Subject'), until: '2.4' },
  // … and from 2.5 twice: under names marked as deprecated, and together in CurriculumInfo.
  DEPSectors: { ...words('DEPSector'), since: '2.5' },
  DEPCourses: { ...words('DEPCourse'), since: '2.5' },
  DEPLevels: { ...words('DEPLevel'), since: '2.5' },
  DEPYears: { ...words('DEPYear'), since: '2.5' },
  DEPSubjects: { ...words('DEPSubject'), since: '2.5' },
  CurriculumInfo: {
    order: 'sequence',
    since: '2.5',
    fields: {
      Sector: { kind: 'text', required: true },
      Courses: words('Course'),
      Levels: words('Level'),
      Years: words('Year'),
      Subjects: words('Subject'),
    },
  },
  CurriculumInformationLocation: { kind: 'link' },
  // Purchase
  SaleUnitSize: { kind: 'count', required: true },
  Supplier: { kind: 'text' },
  SupplierThumbnailLocation: { kind: 'link' },
  Prices: {
    order: 'sequence',
    since: '2.3',
    fields: {
      Currency: { kind: 'text', required: true },
      Consumerprice: { kind: 'cents' },
      Price: { ...price, many: true, required: true },
    },
  },
  // Until 2.2; records of 2.3 and 2.4 are seen to carry them still.
  Currency: { kind: 'text', required: true, until: '2.4' },
  PriceVATHigh: { kind: 'cents', until: '2.4' },
  PriceVATLow: { kind: 'cents', until: '2.4' },
  PriceIsIndicative: { kind: 'flag', required: true },
  // LicenseData
  IsLicensed: { kind: 'flag', required: true, needed: true },
  ActivationBefore: {
    order: 'choice',
    fields: { ActivationBeforeDays: { kind: 'count' }, ActivationBeforeDate: { kind: 'moment' } },
  },
  LicenseAvailabilityOptions: { kind: 'text' },
  // The same field with a letter missing, as one source writes it.
  LicenseAvailablityOptions: { kind: 'text', until: '2.4' },
  LicenseStartDate: { kind: 'moment' },
  LicenseEndDate: { kind: 'moment' },
  LicenseDuration: { kind: 'duration' },
  LicenseCount: { kind: 'count' },
  AdditionalLicenseOptions: words('AdditionalLicenseOption'),
  IsCatalogItem: { kind: 'flag' },
  Copyright: { kind: 'text' },
  LastModifiedDate: { kind: 'moment' },
} as const satisfies Fields;

/** Whether `version` knows `field`. */
export const inVersion = (field: Field, version: Version): boolean =>
  (field.since === undefined || versions.indexOf(version) >= versions.indexOf(field.since)) &&
  (field.until === undefined || versions.indexOf(version) <= versions.indexOf(field.until));

/** Whether `version` demands `field`. The single currency is demanded only while there are no `Prices` to hold it. */
export const requiredIn = (name: string, field: Field, version: Version): boolean =>
  field.required === true &&
  inVersion(field, version) &&
  !(name === 'Currency' && field.until !== undefined && versions.indexOf(version) >= versions.indexOf('2.3'));
