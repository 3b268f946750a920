//! Problems (RFC 9457) and the closed list of their codes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of every error answer, `application/problem+json`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `/docs/errors/<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Path of the request.
    pub instance: String,
    pub code: ProblemCode,
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
    /// All faults of the request together, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What belongs to the code: `limit`, `used`, `requested`, `allowed_actions`, `right`…
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub params: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or the name of a query parameter.
    pub pointer: String,
    /// `required`, `unknown-spec`, `two-zones`, `out-of-range`…
    pub code: String,
    /// What is wrong and what would be accepted.
    pub detail: String,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub params: serde_json::Map<String, serde_json::Value>,
}

impl FieldError {
    pub fn new(pointer: impl Into<String>, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into(), params: serde_json::Map::new() }
    }

    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }
}

/// An entry of the error catalogue, in the language asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorDoc {
    pub code: ProblemCode,
    pub status: u16,
    pub title: String,
    pub cause: String,
    pub remedy: String,
}

/// A sentence in both languages of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    pub en: &'static str,
    pub zh: &'static str,
}

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $en_title:literal / $zh_title:literal, $en_cause:literal / $zh_cause:literal, $en_remedy:literal / $zh_remedy:literal;)*) => {
        /// Every code that an answer can carry. A code, once published, keeps its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        pub enum ProblemCode {$(
            $(#[$doc])*
            #[serde(rename = $code)]
            $name,
        )*}

        impl ProblemCode {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self {$(Self::$name => $code,)*}
            }

            /// HTTP status that it is answered with.
            pub fn status(self) -> u16 {
                match self {$(Self::$name => $status,)*}
            }

            pub fn title(self) -> Text {
                match self {$(Self::$name => Text { en: $en_title, zh: $zh_title },)*}
            }

            pub fn cause(self) -> Text {
                match self {$(Self::$name => Text { en: $en_cause, zh: $zh_cause },)*}
            }

            pub fn remedy(self) -> Text {
                match self {$(Self::$name => Text { en: $en_remedy, zh: $zh_remedy },)*}
            }
        }
    };
}

problem_codes! {
    MalformedRequest = "malformed-request", 400, "The request cannot be read" / "请求无法解析",
        "The body is not valid JSON of the documented shape, or a parameter has the wrong type." / "请求体不是符合文档的 JSON，或某个参数类型不对。",
        "Compare the request with the API document; `errors` tells the place." / "对照接口文档检查请求；`errors` 指出了位置。";
    Unauthenticated = "unauthenticated", 401, "Not signed in" / "未登录",
        "There is no bearer token, or it has expired or was revoked." / "缺少令牌，或令牌已过期、已吊销。",
        "Sign in again, or use a live API key." / "请重新登录，或使用有效的 API 密钥。";
    InvalidCredentials = "invalid-credentials", 401, "Sign-in refused" / "登录被拒绝",
        "The account or the password, key or token is not right." / "账号或密码、密钥、令牌不正确。",
        "Check what you typed; after several failures the account is locked for a while." / "请检查输入；多次失败后账号会被暂时锁定。";
    AccountLocked = "account-locked", 429, "Account locked" / "账号已锁定",
        "Too many sign-ins failed." / "登录失败次数过多。",
        "Wait for the time in `Retry-After`." / "请等待 `Retry-After` 指明的时间。";
    Forbidden = "forbidden", 403, "Right missing" / "缺少权限",
        "Your role does not include the right named in `params.right`." / "您的角色不包含 `params.right` 所指的权限。",
        "Ask an owner or admin of the project for a role that includes it." / "请向项目的所有者或管理员申请包含该权限的角色。";
    NotFound = "not-found", 404, "Not found" / "未找到",
        "There is no such resource, or you may not see it." / "资源不存在，或您无权查看。",
        "Check the id and the project." / "请检查标识和项目。";
    MethodNotAllowed = "method-not-allowed", 405, "Method not allowed" / "不支持的方法",
        "The path exists, but not with this method." / "路径存在，但不支持该方法。",
        "See the API document." / "请参阅接口文档。";
    ActionNotAllowed = "action-not-allowed", 409, "Not in this state" / "当前状态不允许",
        "The state of the resource does not allow the action." / "资源的当前状态不允许该操作。",
        "`params.allowed_actions` lists what is allowed now; wait for the running job, or resolve the fault." / "`params.allowed_actions` 列出了当前允许的操作；请等待任务结束或先排除故障。";
    NameTaken = "name-taken", 409, "Name taken" / "名称已被占用",
        "Another resource of the project has this name." / "项目中已有同名资源。",
        "Choose another name." / "请换一个名称。";
    JobActive = "job-active", 409, "A job is changing it" / "有任务正在变更",
        "One job at a time may change a resource." / "同一时间只允许一个任务变更资源。",
        "Wait for the job in `params.job_id`." / "请等待 `params.job_id` 所指的任务结束。";
    IdempotencyInFlight = "idempotency-in-flight", 409, "The first request is still running" / "首个请求仍在处理",
        "A request with the same idempotency key has not been answered yet." / "带有相同幂等键的请求尚未得到应答。",
        "Repeat in a second." / "请稍后重试。";
    ProtectedFromDeletion = "protected-from-deletion", 409, "Protected from deletion" / "已开启删除保护",
        "`deletion_protection` of the instance is on." / "实例开启了 `deletion_protection`。",
        "Switch it off first." / "请先关闭删除保护。";
    PriceMoved = "price-moved", 409, "The price has moved" / "价格已变动",
        "The quote has expired, or its price is no longer that of the catalogue." / "报价已过期，或与当前目录价格不一致。",
        "Ask for a new quote and confirm it." / "请重新询价并确认。";
    SoldOut = "sold-out", 409, "No room" / "资源售罄",
        "A zone has no room for the brokers of this order." / "可用区没有足够资源放置此订单的节点。",
        "Choose another zone or a smaller spec, or try later." / "请选择其他可用区或较小规格，或稍后再试。";
    QuotaExceeded = "quota-exceeded", 409, "Quota reached" / "已达配额",
        "The project holds as many as its quota allows." / "项目中的资源数已达配额上限。",
        "Delete what is not needed, or have the quota raised." / "请删除不用的资源，或申请提高配额。";
    PartitionLimit = "partition-limit", 409, "No room for these partitions" / "分区数已达上限",
        "With them the instance would have more partitions than its spec allows." / "加上这些分区，实例的分区总数将超过规格上限。",
        "Ask for fewer, delete topics, or change to a larger spec; `params` has the figures." / "请减少分区数、删除主题，或更换更大的规格；数值见 `params`。";
    TopicProtected = "topic-protected", 409, "Not a topic of yours" / "不是您的主题",
        "Kafka keeps its own state in this topic: it can be read, and neither changed nor deleted." / "Kafka 在此主题中保存自身状态：可以读取，不能修改或删除。",
        "Leave it as it is; it does not count for the partitions that were bought." / "请保持原样；它不计入所购分区数。";
    EtagMismatch = "etag-mismatch", 412, "Changed meanwhile" / "资源已被修改",
        "`If-Match` does not name the present version." / "`If-Match` 与当前版本不符。",
        "Read the resource again and repeat the change." / "请重新读取资源后再提交修改。";
    PayloadTooLarge = "payload-too-large", 413, "Too large" / "请求过大",
        "The body passes the limit." / "请求体超过上限。",
        "Send less: `params.limit` bytes at most." / "请减小请求体，上限为 `params.limit` 字节。";
    UnsupportedMediaType = "unsupported-media-type", 415, "Not JSON" / "不是 JSON",
        "The body must be `application/json`." / "请求体必须为 `application/json`。",
        "Set `Content-Type: application/json`." / "请设置 `Content-Type: application/json`。";
    ValidationFailed = "validation-failed", 422, "The request breaks a rule" / "请求不符合规则",
        "One or more fields have values that are not accepted." / "一个或多个字段的取值不被接受。",
        "`errors` lists every fault with its field and what would be accepted." / "`errors` 逐条列出字段、问题和可接受的取值。";
    IdempotencyMismatch = "idempotency-mismatch", 422, "Another request used this key" / "幂等键已被其他请求使用",
        "The idempotency key came with another method, path or body before." / "该幂等键先前用于不同的方法、路径或请求体。",
        "Use a new key for a new request." / "新请求请使用新的幂等键。";
    PreconditionRequired = "precondition-required", 428, "`If-Match` needed" / "需要 `If-Match`",
        "This change must name the version that it was made from." / "此修改必须指明所基于的版本。",
        "Send the resource's ETag in `If-Match`." / "请在 `If-Match` 中携带资源的 ETag。";
    RateLimited = "rate-limited", 429, "Too many requests" / "请求过于频繁",
        "The caller has used up its requests for now." / "调用方已用完当前时段的请求额度。",
        "Wait for the time in `Retry-After`." / "请等待 `Retry-After` 指明的时间。";
    Internal = "internal", 500, "Internal error" / "内部错误",
        "The service failed; it is logged under the request id." / "服务出错，已按请求标识记录日志。",
        "Repeat with the same idempotency key; if it stays, tell support the request id." / "请用相同的幂等键重试；若仍失败，请将请求标识告知支持人员。";
    Unavailable = "unavailable", 503, "Not available now" / "暂时不可用",
        "The service is starting, stopping, overloaded, or has lost its database." / "服务正在启动、停止、过载，或暂时失去数据库连接。",
        "Repeat after the time in `Retry-After`." / "请在 `Retry-After` 指明的时间后重试。";
    KafkaUnavailable = "kafka-unavailable", 503, "Kafka does not answer" / "Kafka 无响应",
        "No broker of the instance answered, so what Kafka keeps cannot be read." / "实例的所有节点均未应答，无法读取 Kafka 中保存的内容。",
        "Look at the brokers' states, and repeat after the time in `Retry-After`." / "请查看各节点状态，并在 `Retry-After` 指明的时间后重试。";
    PartitionsUndecided = "partitions-undecided", 503, "Room cannot be told now" / "暂时无法确认余量",
        "Whether the instance has room for these partitions depends on a creation whose end is not known yet; nothing was made." / "实例是否还有余量取决于一次结果未明的创建；本次未创建任何内容。",
        "Repeat after the time in `Retry-After`; it is known after 90 seconds at most." / "请在 `Retry-After` 指明的时间后重试；最长 90 秒后即可确认。";
    Timeout = "timeout", 504, "Took too long" / "处理超时",
        "The request was not done within its time." / "请求未能在时限内完成。",
        "Repeat with the same idempotency key." / "请用相同的幂等键重试。";
    BrokerNotReady = "broker-not-ready", 500, "A broker did not start" / "节点未能启动",
        "A broker of the instance did not become ready in its time. Carried by jobs." / "实例的某个节点未能在时限内就绪。由任务携带。",
        "See the job's steps for the cause; what was made has been removed. Order again." / "请查看任务步骤中的原因；已创建的资源均已释放。请重新下单。";
    CanaryFailed = "canary-failed", 500, "The test message was lost" / "测试消息未通过",
        "A message written through the instance's addresses could not be read back. Carried by jobs." / "经实例地址写入的测试消息未能读回。由任务携带。",
        "See the job's steps for the cause; what was made has been removed. Order again." / "请查看任务步骤中的原因；已创建的资源均已释放。请重新下单。";
    JobCancelled = "job-cancelled", 409, "Cancelled" / "已取消",
        "The job was cancelled and undone. Carried by jobs." / "任务被取消并已回退。由任务携带。",
        "Start it again when wanted." / "需要时可重新发起。";
}
