//! Faults of fields in Chinese. They are made in English where they are found; here their code and parameters are said again.

use control_plane_api::problem::FieldError;
use serde_json::Value;

/// The fault's sentence in Chinese; `None` for a code that is only known in English.
pub fn chinese(fault: &FieldError) -> Option<String> {
    let sentence = match fault.code.as_str() {
        // Shape.
        "malformed-json" => "不是有效的 JSON",
        "required" => "缺少必填项",
        "unknown-field" => "未知字段",
        "unknown-parameter" => "未知的查询参数；可接受：{accepted}",
        "parameter-twice" => "查询参数重复，只能给出一次；可取多个值的，以逗号分隔",
        "unknown-value" => "取值未知；可接受：{accepted}",
        "wrong-type" => "类型不符",
        "unexpected-body" => "此请求不应带请求体",
        "unreadable" => "请求体传输中断",
        "malformed" => "格式不正确",
        "out-of-range" => "超出范围；可接受 {min} 至 {max}",
        "too-long" => "过长；最多 {limit} 个字符",
        "bad-character" => "不接受字符 U+0000",
        "in-the-past" => "须为将来的时间",
        // Names.
        "taken" => "名称已被占用，请换一个",
        "malformed-name" => "须为 2 至 64 个字母、数字、`-` 或 `_`",
        "name-shape" => "名称须为 4 至 64 个字母、数字、`-` 或 `_`，以字母开头",
        "spec-shape" => "规格名须为 1 至 64 个小写字母、数字、`.`、`-` 或 `_`，以字母开头，如 kafka.100",
        "malformed-email" => "须为 name@host 形式的邮箱地址，最多 254 个字符",
        "too-many-labels" => "标签过多；最多 {limit} 个",
        "label-key" => "标签键须为 1 至 63 个字母、数字、`.`、`-`、`_` 或 `/`",
        "label-value" => "标签值最多 255 个字符，不含控制字符",
        "topic-shape" => "主题名须为 1 至 249 个字母、数字、`.`、`-` 或 `_`",
        "version-shape" => "版本号须由点分隔的数字组成，如 4.3.1",
        // Access.
        "network-shape" => "须为地址或网段，如 10.1.2.3 或 10.1.0.0/16",
        "too-many-networks" => "条目过多；最多 {limit} 条",
        "last-way-in" => "至少保留一个入口，否则无人能够连接",
        "last-login" => "至少保留一种登录方式：请给出一种机制，或信任令牌或证书",
        "ipv6-network" => "实例位于 IPv6 网络，不能开启公网访问",
        "host-shape" => "须为主机名或 IP 地址，如 kafka-0.acme.example 或 10.1.2.3",
        "broker-twice" => "节点重复，每个只需填写一次",
        "address-twice" => "该地址已用于另一节点；每个节点须有各自的地址",
        "every-broker" => "须为每个节点各给出一个地址；节点：{accepted}",
        "too-many-accounts" => "账户过多；最多 {limit} 个",
        "account-shape" => "须为组织或项目的 ID：org_… 或 prj_…",
        "account-twice" => "账户重复；每个账户只填一次，并列出其全部地址",
        "too-many-mechanisms" => "机制过多；可接受：{accepted}，每种一次",
        "mechanism-twice" => "机制重复；可接受：{accepted}，每种一次",
        "way-closed" => "该入口未开启；可接受：{accepted}",
        "no-mechanism" => "没有开启任何密码登录机制：请先在接入方式的 mechanisms 中开启一种",
        // Access rules.
        "acl-resource-name" => "资源名须为 1 至 255 个字符，不含控制字符",
        "acl-cluster-name" => "cluster 类型只有一个资源：`kafka-cluster`，匹配方式为 literal",
        "acl-principal" => "主体须为 `User:` 加用户名、`User:*` 或 `User:ANONYMOUS`；Kafka 不比较其他类型",
        "acl-operation" => "Kafka 不会对此类资源检查该操作；可接受：{accepted}",
        "acl-platform" => "该规则属于平台：请改用实例的授权模式，或指定其他主体",
        "acl-host" => "网关之后无法按主机限制，只接受 `*`；允许与拒绝地址列表对所有客户端有效",
        "acl-cluster-action" => {
            "ClusterAction（及包含它的 All）仅供节点使用；集群上可接受 Alter、AlterConfigs、Create、Describe、DescribeConfigs、IdempotentWrite"
        }
        "acl-platform-user" => "该资源涵盖平台用户；请指定自己的用户",
        "acl-filter-empty" => {
            "请至少给出一个条件：resource_type、resource_name、pattern_type、principal、operation、permission"
        }
        "acl-filter-wide" => "找到 {found} 条规则；一次最多删除 {limit} 条，请缩小范围",
        // Quotas of clients.
        "quota-entity-missing" => "请指定用户、客户端 ID（或二者各一），或地址，或主题；default_… 代表其余全部",
        "quota-ip-alone" => "地址须单独指定：建立连接时，对方的用户与客户端 ID 尚不可知",
        "quota-ip" => "不是客户端地址；请给出一个地址，如 10.1.2.3 或 fd00::1，不接受网段",
        "quota-ip-many" => "最多 {limit} 个地址可以有自己的规则，请先删除一些",
        "quota-topic-alone" => "主题须单独指定：其数值由全部客户端共享",
        "quota-topic" => "不是主题名；可接受 1 至 249 个字母、数字、点、下划线与连字符，不接受通配",
        "quota-topic-internal" => "该主题属于 Kafka 或平台；请指定自己的主题",
        "quota-topic-many" => "最多 {limit} 个主题可以有自己的规则，请先删除一些",
        "quota-limit-kind" => "此类规则没有这一项；可接受：{accepted}",
        "quota-entity-both" => "{field} 与 default_{field} 只能给出一个",
        "quota-name" => "名称须为 1 至 255 个字符，不含控制字符",
        "quota-platform-user" => "该用户属于平台；请指定自己的用户",
        "quota-limit-missing" => "至少给出一项：{accepted}",
        "quota-twice" => "本次请求中该对象已有一条规则：请把各项数值写在同一条里",
        "rights-missing" => "主题至少需要 produce、consume、manage 中的一项",
        "group-missing" => "consume 需要消费组：请给出组名，或组名前缀加 `*`",
        "topic-missing" => "请给出主题、消费组或事务 ID；权限需要主题",
        "all-alone" => "`all` 表示全部，不能与其他条件同时使用",
        // Topics.
        "topic-name" => "主题名须为 1 至 249 个字母、数字、`-` 或 `_`，且不以 `_` 开头",
        "topic-reserved" => "以 `sluice-canary-` 开头的名称由平台保留，请换一个",
        "topic-setting" => "创建主题时不能指定该设置；可接受：{accepted}",
        "topic-in-sync" => "同步副本数多于副本数（{replicas}），将无法写入",
        "topic-shrinks" => "主题已有 {present} 个分区，Kafka 不能减少分区；请指定更大的数目，或新建主题",
        "kafka-refused" => "Kafka 拒绝了请求：{reason}",
        // Certificates.
        "wrong-password" => "密码错误，或文件已损坏",
        "not-of-format" => "此格式不使用该项",
        "malformed-base64" => "须为文件的 base64 编码",
        "file-too-large" => "文件过大；最多 {limit} 字节",
        "keystore-unreadable" => "无法读取；请检查格式是否为 JKS、PKCS#12 或未加密的 PEM",
        "no-private-key" => "其中没有私钥",
        "unknown-alias" => "须指明密钥的别名；其中有：{accepted}",
        "unreadable-certificate" => "其中有无法解析的证书",
        "missing-chain" => "证书链不完整；缺少签发者 {issuer} 的证书",
        "chain-broken" => "证书链中有证书不是由下一张证书签发的",
        "key-kind" => "仅接受 2048 位及以上的 RSA、ECDSA P-256 和 P-384 密钥",
        "key-mismatch" => "私钥与证书不匹配",
        "key-too-weak" => "密钥过弱（{bits} 位）；RSA 至少 {min} 位",
        "certificate-expired" => "证书已于 {at} 过期",
        "certificate-not-yet-valid" => "证书自 {at} 起才有效",
        "uncovered-address" => "证书未覆盖客户端要连接的地址：{uncovered}",
        "not-for-servers" => "证书的扩展密钥用法不包含服务器身份验证（serverAuth）",
        "private-key" => "其中含有私钥；请只提供公开部分",
        "not-pem" => "须为 PEM 格式，其中至少有一段 CERTIFICATE",
        "not-an-authority" => "{subject} 不是 CA 证书；请提供签发客户端证书的 CA，而非客户端证书",
        "too-many-authorities" => "CA 过多；最多 {limit} 个",
        "not-a-crl" => "须为 PEM 格式的第 2 版证书吊销列表（X509 CRL）",
        "crl-twice" => "同一签发者（{issuer}）的吊销列表重复；只需提供较新的一份",
        "crl-of-stranger" => "吊销列表不是由所提供的 CA 签发的",
        "crl-partial" => "该吊销列表只涵盖部分证书（issuingDistributionPoint）；请提供该 CA 的完整列表",
        "crl-ambiguous" => "有两个名称相同而密钥不同的 CA，无法区分吊销列表属于哪一个",
        "principal-rules" => {
            "映射规则须为 DEFAULT，或 RULE:模式/替换/（其后可加 L 或 U），以逗号分隔；不支持环视与反向引用"
        }
        "certificate-refused" => "严格校验的客户端会拒绝此证书",
        // People and accounts.
        "password-length" => "密码须为 {min} 至 {max} 个字符",
        "password-characters" => "密码只能包含字母、数字和 ASCII 特殊字符，不含空格",
        "password-classes" => "密码须包含大写字母、小写字母、数字、特殊字符中的三种",
        "password-start" => "密码不能以 `-` 开头",
        "password-weak" => "密码过弱，或包含用户名；请换一个",
        "no-password" => "服务账号使用 API 密钥，没有密码",
        "user-shape" => "Kafka 用户名须为 4 至 64 个字母、数字、`-` 或 `_`，以字母开头",
        "user-reserved" => "以 `sluice` 开头的名称由平台保留，请换一个",
        "owner" => "不能是所有者，可为其他任一角色",
        "unknown-scope" => "不是该账号角色的权限；可接受：{accepted}",
        // The catalogue.
        "unknown-spec" => "没有该规格；可接受：{accepted}",
        "retired-spec" => "该规格已停售；可接受：{accepted}",
        "unknown-disk-type" => "没有该磁盘类型；可接受：{accepted}",
        "disk-type-not-of-spec" => "该规格不提供此磁盘类型；可接受：{accepted}",
        "retired-disk-type" => "该磁盘类型已停售；可接受：{accepted}",
        "unknown-version" => "不提供该版本；可接受：{accepted}",
        "retired-version" => "该版本已停止提供；可接受：{accepted}",
        "retired-default" => "默认版本必须可用",
        // Orders.
        "two-zones" => "两个可用区无法在失去其中一个时保持三节点的多数；可接受：一个，或三个及以上",
        "duplicate-zone" => "可用区重复，每个只需填写一次",
        "unknown-zone" => "没有该可用区；可接受：{accepted}",
        "zones-of-two-regions" => "可用区分属多个地域（{regions}），实例只能位于一个地域",
        "more-zones-than-brokers" => "可用区多于节点；可接受：一个，或三至 {limit} 个",
        "months-without-prepaid" => "按小时计费时不填月数，仅预付费需要",
        "months-not-offered" => "不提供该月数；可接受：{accepted}",
        "quota-exceeded" => "已达配额；上限 {limit}，已用 {used}",
        "sold-out" => "可用区资源不足；{zones}",
        "unknown-quote" => "项目中没有该报价，请重新询价",
        "quote-expired" => "报价已过期，请重新询价",
        "quote-of-other-terms" => "报价与订单内容不一致，请重新询价",
        "price-moved" => "价格已变动；报价 {quoted} CNY，现价 {now} CNY",
        _ => return None,
    };
    Some(filled(sentence, fault))
}

/// Clauses, which `；` parts, with the fault's parameters; a clause whose parameters the fault does not carry is left out.
fn filled(sentence: &str, fault: &FieldError) -> String {
    let clauses = sentence.split('；').filter_map(|clause| {
        let mut text = clause.to_owned();
        for (name, value) in &fault.params {
            text = text.replace(&format!("{{{name}}}"), &shown(value));
        }
        (!text.contains('{')).then_some(text)
    });
    clauses.collect::<Vec<_>>().join("；")
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join("、"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_in_chinese_what_would_be_accepted() {
        let fault = FieldError::new("/spec", "unknown-spec", "…").with("accepted", vec!["kafka.100", "kafka.300"]);
        assert_eq!(chinese(&fault).unwrap(), "没有该规格；可接受：kafka.100、kafka.300");
        let fault = FieldError::new("/storage_gb", "out-of-range", "…").with("min", 600).with("max", 90_000);
        assert_eq!(chinese(&fault).unwrap(), "超出范围；可接受 600 至 90000");
    }

    #[test]
    fn a_clause_without_its_parameters_is_left_out() {
        assert_eq!(chinese(&FieldError::new("/x", "out-of-range", "…")).unwrap(), "超出范围");
        assert_eq!(chinese(&FieldError::new("/x", "no-such-code", "…")), None);
    }
}
