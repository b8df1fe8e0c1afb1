export { DerError, pem, pemBlocks } from './der.ts';
export {
  type Authority,
  type CertificateOptions,
  issueCertificate,
  issueRevocationList,
  type Subject,
} from './issue.ts';
export { type CertificateFacts, type RevocationList, readCertificate, readRevocationList } from './read.ts';
