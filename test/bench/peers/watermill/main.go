package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	nethttp "net/http"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-http/v2/pkg/http"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

type Message struct {
	ID        string `json:"id"`
	SchoolOin string `json:"schoolOin"`
	Learner   string `json:"learner"`
	ProductID string `json:"productId"`
	Quantity  int    `json:"quantity"`
	StartsOn  string `json:"startsOn"`
	Note      string `json:"note"`
}

var (
	idPattern      = regexp.MustCompile(`^m-\d{8}$`)
	schoolPattern  = regexp.MustCompile(`^[0-9A-Z]{20}$`)
	learnerPattern = regexp.MustCompile(`^[0-9A-Za-z_-]{22}$`)
	productPattern = regexp.MustCompile(`^97[89]\d{10}$`)
)

func (m Message) Validate() error {
	switch {
	case !idPattern.MatchString(m.ID):
		return errors.New("id")
	case !schoolPattern.MatchString(m.SchoolOin):
		return errors.New("schoolOin")
	case !learnerPattern.MatchString(m.Learner):
		return errors.New("learner")
	case !productPattern.MatchString(m.ProductID):
		return errors.New("productId")
	case m.Quantity < 1 || m.Quantity > 1000:
		return errors.New("quantity")
	case len(m.Note) > 2000:
		return errors.New("note")
	}
	if _, err := time.Parse(time.DateOnly, m.StartsOn); err != nil {
		return errors.New("startsOn")
	}
	return nil
}

func unmarshal(_ string, request *nethttp.Request) (*message.Message, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	msg := message.NewMessage(watermill.NewUUID(), body)
	msg.Metadata.Set("learner", m.Learner)
	return msg, nil
}

func byLearner(_ string, msg *message.Message) (string, error) {
	return msg.Metadata.Get("learner"), nil
}

func pass(msg *message.Message) ([]*message.Message, error) {
	return message.Messages{msg}, nil
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	logger := watermill.NewStdLogger(false, false)
	brokers := strings.Split(os.Getenv("BROKERS"), ",")
	topic := os.Getenv("TOPIC")
	marshaler := kafka.NewWithPartitioningMarshaler(byLearner)

	producing := kafka.DefaultSaramaSyncPublisherConfig()
	producing.Version = sarama.V3_6_0_0
	producing.Producer.RequiredAcks = sarama.WaitForAll
	toKafka := must(kafka.NewPublisher(kafka.PublisherConfig{
		Brokers: brokers, Marshaler: marshaler, OverwriteSaramaConfig: producing,
	}, logger))

	consuming := kafka.DefaultSaramaSubscriberConfig()
	consuming.Version = sarama.V3_6_0_0
	consuming.Consumer.Offsets.Initial = sarama.OffsetOldest
	fromKafka := must(kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: brokers, Unmarshaler: marshaler, ConsumerGroup: "gateway", OverwriteSaramaConfig: consuming,
	}, logger))

	fromHTTP := must(http.NewSubscriber("127.0.0.1:"+os.Getenv("PORT"), http.SubscriberConfig{
		UnmarshalMessageFunc: unmarshal,
	}, logger))
	// The default client keeps two connections to a host.
	client := &nethttp.Client{Timeout: 30 * time.Second, Transport: &nethttp.Transport{MaxIdleConnsPerHost: 32}}
	toHTTP := must(http.NewPublisher(http.PublisherConfig{
		MarshalMessageFunc: http.DefaultMarshalMessageFunc, Client: client,
	}, logger))

	router := must(message.NewRouter(message.RouterConfig{}, logger))
	router.AddHandler("accept", "/messages", fromHTTP, topic, toKafka, pass)
	router.AddHandler("deliver", topic, fromKafka, os.Getenv("SINK"), toHTTP, pass)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		<-router.Running()
		if err := fromHTTP.StartHTTPServer(); err != nil && !errors.Is(err, nethttp.ErrServerClosed) {
			panic(err)
		}
	}()
	if err := router.Run(ctx); err != nil {
		panic(err)
	}
}
