import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common';
import { ClientKafka, EventPattern, KafkaRetriableException, Payload } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import { MessageDto } from './message.dto.js';

const topic = process.env.TOPIC!;
const sink = process.env.SINK!;

@Controller()
export class GatewayController {
  constructor(@Inject('KAFKA') private readonly kafka: ClientKafka) {}

  @Post('messages')
  @HttpCode(202)
  async accept(@Body() message: MessageDto): Promise<void> {
    await lastValueFrom(this.kafka.emit(topic, { key: message.learner, value: message }), { defaultValue: undefined });
  }

  @EventPattern<string>(topic)
  async deliver(@Payload() message: MessageDto): Promise<void> {
    try {
      const response = await fetch(sink, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(message),
      });
      await response.arrayBuffer();
      if (!response.ok) throw new Error(`the sink answered ${response.status}`);
    } catch (error) {
      throw new KafkaRetriableException((error as Error).message);
    }
  }
}
