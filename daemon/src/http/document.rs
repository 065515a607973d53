//! `/openapi.json`, made from the operations.

use std::collections::BTreeMap;

use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, Required, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::http::operation::{Operation, Shape};
use crate::http::problem::Problem;

const ABOUT: &str = "The billing office of a cloud host. Every request carries a key. Each POST carries an \
    `Idempotency-Key` of its own: the same key with the same request gets the first answer again for 24 hours. Amounts \
    are decimal strings, times are UTC in whole seconds. What was not done is told by a problem document with a stable \
    `code`.";

/// What of a request is refused, whichever it is.
const REFUSED: [(&str, &str); 13] = [
    ("400", "It cannot be read"),
    ("401", "The key is missing, unknown, expired or revoked"),
    ("403", "The key may not do this"),
    ("404", "There is no such thing, or it is another account's"),
    ("405", "The path takes another method"),
    ("408", "Its body did not come in time"),
    ("409", "The rules refuse it, or it cannot be done now: see `code`"),
    ("413", "It is too long"),
    ("415", "It is not JSON"),
    ("422", "A field is not what it should be"),
    ("429", "Too many requests came"),
    ("500", "It failed here: the log says why"),
    ("503", "The books cannot be reached just now"),
];

pub fn document(operations: &[Operation]) -> OpenApi {
    let mut components = ComponentsBuilder::new()
        .security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .schema(Problem::name(), Problem::schema());
    let mut paths: BTreeMap<&str, PathItemBuilder> = BTreeMap::new();
    for operation in operations {
        let mut shape = (operation.shape)();
        for (name, schema) in shape.schemas.drain(..) {
            components = components.schema(name, schema);
        }
        let method = if operation.method == axum::http::Method::GET { HttpMethod::Get } else { HttpMethod::Post };
        let item = paths.remove(operation.path).unwrap_or_default();
        paths.insert(operation.path, item.operation(method, described(operation, shape)));
    }
    let paths = paths.into_iter().fold(PathsBuilder::new(), |paths, (path, item)| paths.path(path, item.build()));
    let info = InfoBuilder::new().title("Bursar").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT));
    OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components.build())).build()
}

fn described(operation: &Operation, shape: Shape) -> OperationBuilder {
    let scopes = operation.access.scopes();
    let text = format!("Keys with these scopes: {}.", scopes.join(", "));
    let tag = operation.path.split('/').nth(2).unwrap_or_default();
    let mut described = OperationBuilder::new()
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .description(Some(text))
        .tag(tag)
        .security(SecurityRequirement::new("key", scopes));
    for name in operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).build();
        let part = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
        described = described.parameter(part.schema(Some(schema)).build());
    }
    for parameter in shape.parameters {
        described = described.parameter(parameter);
    }
    if let Some(body) = shape.body {
        let content = ContentBuilder::new().schema(Some(body)).build();
        let body = RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True));
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[!-~]{1,255}$"))
            .examples([serde_json::json!("7d0c2a3e-deposit-1")]);
        let key = ParameterBuilder::new().name("Idempotency-Key").parameter_in(ParameterIn::Header);
        let key = key
            .required(Required::True)
            .schema(Some(schema.build()))
            .description(Some("One of your own for this request"));
        described = described.request_body(Some(body.build())).parameter(key.build());
    }
    let content = ContentBuilder::new().schema(shape.answer).build();
    let done = ResponseBuilder::new().description("Done").content(operation.content_type, content);
    described = described.response(operation.success.as_str(), done.build());
    for (status, why) in REFUSED {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
        let refused = ResponseBuilder::new().description(why).content("application/problem+json", content);
        described = described.response(status, refused.build());
    }
    described
}
