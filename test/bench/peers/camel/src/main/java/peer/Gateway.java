package peer;

import java.nio.file.Files;
import com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.camel.Exchange;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.bean.validator.BeanValidationException;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.component.servlet.CamelHttpTransportServlet;
import org.apache.camel.main.Main;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;
import org.apache.catalina.startup.Tomcat;

public class Gateway extends RouteBuilder {
    public static void main(String[] args) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory("gateway").toString());
        tomcat.setHostname("127.0.0.1");
        tomcat.setPort(Integer.parseInt(System.getenv("PORT")));
        tomcat.getConnector();
        Context context = tomcat.addContext("", null);
        Wrapper servlet = Tomcat.addServlet(context, "CamelServlet", new CamelHttpTransportServlet());
        servlet.setLoadOnStartup(1);
        context.addServletMappingDecoded("/*", "CamelServlet");
        tomcat.start();

        Main main = new Main();
        main.configure().addRoutesBuilder(new Gateway());
        main.run(args);
    }

    @Override
    public void configure() {
        from("servlet:messages?httpMethodRestrict=POST")
            .onException(BeanValidationException.class, JsonProcessingException.class)
                .handled(true)
                .setHeader(Exchange.HTTP_RESPONSE_CODE, constant(400))
                .setBody(simple("${exception.message}"))
            .end()
            .unmarshal().json(Message.class)
            .to("bean-validator:message")
            .removeHeaders("*")
            .setHeader(KafkaConstants.KEY, simple("${body.learner}"))
            .marshal().json()
            .to("kafka:{{env:TOPIC}}?requestRequiredAcks=all")
            .removeHeaders("*")
            .setHeader(Exchange.HTTP_RESPONSE_CODE, constant(202))
            .setBody(constant(""));

        // Offsets are committed when the consumer polls again, and by then the route has gone through.
        from("kafka:{{env:TOPIC}}?groupId=gateway&autoOffsetReset=earliest&consumersCount=8&breakOnFirstError=true")
            .errorHandler(defaultErrorHandler()
                .maximumRedeliveries(-1).redeliveryDelay(500).useExponentialBackOff().maximumRedeliveryDelay(10_000))
            .removeHeaders("*")
            .setHeader(Exchange.HTTP_METHOD, constant("POST"))
            .setHeader(Exchange.CONTENT_TYPE, constant("application/json"))
            .to("{{env:SINK}}");
    }
}
