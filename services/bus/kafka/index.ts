export { CONTENT_TYPE, fromLog, SOURCE, SPEC_VERSION, streamOf, toLog, topicOf } from './cloudevents.ts';
export * from './driver.ts';
export * from './port.ts';
export { recordBytes } from './producer.ts';
export * from './topics.ts';
