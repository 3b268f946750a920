use super::cloud::{Cloud, INSTANCES};
use control_plane_api::connection::Connection;

#[tokio::test]
async fn the_guide_names_this_instances_addresses_user_and_trust() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let path = format!("{INSTANCES}/orders/connection");
    for client in ["java", "python", "go", "node", "rust", "kcat", "properties"] {
        let call = cloud.app.get(format!("{path}?client={client}&topic=clicks"));
        let connection: Connection = call.by(cloud.owner()).send().await.expect(200);
        assert_eq!(connection.bootstrap.private_sasl_ssl, instance.bootstrap.private_sasl_ssl);
        let snippet = connection.snippet.expect("code");
        let files = snippet.files.iter().map(|file| file.content.as_str());
        let code: String = files.chain(snippet.run.iter().map(String::as_str)).collect();
        for needle in [instance.bootstrap.private_sasl_ssl.as_str(), "admin", "clicks", "-----BEGIN CERTIFICATE-----"] {
            assert!(code.contains(needle), "{client} lacks {needle}");
        }
    }
    let bare: Connection = cloud.app.get(&path).by(cloud.owner()).send().await.expect(200);
    assert!(bare.snippet.is_none());
    let odd = cloud.app.get(format!("{path}?client=go&user=a%22b&topic=..")).by(cloud.owner()).send().await;
    let problem = odd.problem("validation-failed");
    assert_eq!(problem.errors.iter().map(|error| error.pointer.as_str()).collect::<Vec<_>>(), ["user", "topic"]);
    cloud.stop().await;
}

#[tokio::test]
async fn the_truststore_comes_in_three_forms() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    for (format, name, begins) in [
        ("pem", "sluice-ca.pem", &b"-----BEGIN CERTIFICATE-----"[..]),
        ("p12", "sluice-truststore.p12", &[0x30]),
        ("jks", "sluice-truststore.jks", &[0xfe, 0xed, 0xfe, 0xed]),
    ] {
        let call = cloud.app.get(format!("{INSTANCES}/orders/truststore?format={format}"));
        let answer = call.by(cloud.owner()).send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with(begins), "{format}");
        let disposition = format!("attachment; filename=\"{name}\"");
        assert_eq!(answer.header("content-disposition"), Some(disposition.as_str()));
    }
    cloud
        .app
        .get(format!("{INSTANCES}/orders/truststore?format=zip"))
        .by(cloud.owner())
        .send()
        .await
        .problem("malformed-request");
    cloud.stop().await;
}
