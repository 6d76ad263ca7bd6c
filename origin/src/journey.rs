//! A request's way through the origin: name, file, tag, plan, body.

use std::io;
use std::sync::Arc;

use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use kingcdn_config::clock::Clock;

use crate::body::{Body, Source};
use crate::path::{PathRefusal, SitePath};
use crate::plan::{self, Plan, Representation};
use crate::record::{Metrics, Record};
use crate::root::{Found, Missing, Root};
use crate::rules::{CacheRules, media_type};
use crate::stamps::{Stamp, Tags};

/// What every request of the site needs.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) root: Arc<Root>,
    pub(crate) tags: Tags,
    pub(crate) rules: CacheRules,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
}

/// Why a request isn't answered with a file.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("not exactly one Host")]
    Host,
    #[error("method not allowed")]
    Method,
    #[error(transparent)]
    Path(#[from] PathRefusal),
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("can't read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Site {
    /// Answers one request. What it has in a body is not read.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        let (head, _) = request.into_parts();
        let path = head.uri.path();
        let metrics = Arc::clone(&self.metrics);
        let mut record = Record::begin(metrics, &head.method, path, &head.headers);

        let (plan, source, reason) = match self.plan(&head).await {
            Ok((plan, source)) => (plan, source, String::new()),
            Err(refusal) => {
                let plan = plan::refusal(&head.method, refusal.status());
                (plan, None, refusal.to_string())
            }
        };
        record.answered(plan.status, reason, plan.body.is_empty());
        let mut response = Response::new(Body::new(plan.body, source, record));
        *response.status_mut() = plan.status;
        *response.headers_mut() = plan.headers;
        response
    }

    async fn plan(&self, head: &http::request::Parts) -> Result<(Plan, Option<Source>), Refusal> {
        require_host(head)?;
        match head.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Ok((plan::options(), None)),
            _ => return Err(Refusal::Method),
        }
        let path = SitePath::parse(head.uri.path())?;
        let (file, stamp) = match self.find(&path).await? {
            Found::File(file, metadata) => (Arc::new(file), Stamp::of(&metadata)),
            Found::Folder => {
                let location = with_slash(&head.uri).ok_or(Missing::Absent)?;
                return Ok((plan::redirect(&head.method, location), None));
            }
        };
        let now = self.clock.now();
        let (tag, stamp) = self.tags.tag(&file, stamp, now).await?;
        let file_name = path.file_name();
        let representation = Representation {
            length: stamp.length,
            modified_secs: stamp.modified_secs,
            tag: &tag,
            media_type: media_type(&file_name),
            cache_control: self.rules.cache_control(&file_name),
        };
        let plan = plan::representation(&head.method, &head.headers, &representation, now);
        Ok((plan, Some(Source { file, stamp })))
    }

    async fn find(&self, path: &SitePath) -> Result<Found, Missing> {
        let root = Arc::clone(&self.root);
        let path = path.clone();
        tokio::task::spawn_blocking(move || root.find(&path))
            .await
            .unwrap_or_else(|failure| Err(Missing::Trouble(io::Error::other(failure))))
    }
}

/// RFC 9112 section 3.2.
fn require_host(head: &http::request::Parts) -> Result<(), Refusal> {
    match head.headers.get_all(HOST).iter().count() {
        1 => Ok(()),
        0 if head.version < Version::HTTP_11 => Ok(()),
        _ => Err(Refusal::Host),
    }
}

/// Where a folder's page is, as seen from the folder's name. The path begins with one slash only,
/// else it would have been refused: it can't lead to another host.
fn with_slash(uri: &Uri) -> Option<HeaderValue> {
    let query = uri.query().map(|query| format!("?{query}"));
    let location = format!("{}/{}", uri.path(), query.unwrap_or_default());
    HeaderValue::try_from(location).ok()
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Host | Self::Path(PathRefusal::Escape | PathRefusal::Nul) => {
                StatusCode::BAD_REQUEST
            }
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Path(_)
            | Self::Missing(Missing::Absent | Missing::Outside | Missing::Special) => {
                StatusCode::NOT_FOUND
            }
            Self::Missing(Missing::Forbidden) => StatusCode::FORBIDDEN,
            Self::Missing(Missing::Trouble(_)) | Self::Unreadable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}
