import 'reflect-metadata';
import { ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type MicroserviceOptions, Transport } from '@nestjs/microservices';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.useGlobalPipes(new ValidationPipe());
app.enableShutdownHooks();
app.connectMicroservice<MicroserviceOptions>({
  transport: Transport.KAFKA,
  options: {
    client: { clientId: 'gateway', brokers: process.env.BROKERS!.split(',') },
    consumer: { groupId: 'gateway' },
    subscribe: { fromBeginning: true },
    run: { partitionsConsumedConcurrently: 8 },
  },
});
await app.startAllMicroservices();
await app.listen(Number(process.env.PORT), '127.0.0.1');
