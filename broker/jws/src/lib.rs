//! Signatures of JSON Web Tokens by ring, for `jsonwebtoken`: the one crypto library that everything else here uses.
//!
//! Verifies what a public key can (RFC 7518 §3.3–3.5, RFC 8037); signs with ES256, as our own tokens are. Shared secrets are
//! not served: whoever can check such a token can make one.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    self as by_ring, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ED25519,
    EcdsaKeyPair, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        compute_digest: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
    },
};

/// Has `jsonwebtoken` sign and verify by ring from now on, in all of this process. Before its first use; again is harmless.
pub fn install() {
    // Refused only where one is installed, and that is this one.
    let _ = PROVIDER.install_default();
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::ES256 || key.family() != AlgorithmFamily::Ec {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_bytes(), &random)
        .map_err(|_| ErrorKind::InvalidEcdsaKey)?;
    Ok(Box::new(Es256 { pair, random }))
}

struct Es256 {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer<Vec<u8>> for Es256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(self.pair.sign(&self.random, message).map_err(|_| Error::new())?.as_ref().to_vec())
    }
}

impl JwtSigner for Es256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let (family, by) = match algorithm {
        Algorithm::ES256 => (AlgorithmFamily::Ec, By::Point(&ECDSA_P256_SHA256_FIXED)),
        Algorithm::ES384 => (AlgorithmFamily::Ec, By::Point(&ECDSA_P384_SHA384_FIXED)),
        Algorithm::EdDSA => (AlgorithmFamily::Ed, By::Point(&ED25519)),
        Algorithm::RS256 => (AlgorithmFamily::Rsa, By::Rsa(&by_ring::RSA_PKCS1_2048_8192_SHA256)),
        Algorithm::RS384 => (AlgorithmFamily::Rsa, By::Rsa(&by_ring::RSA_PKCS1_2048_8192_SHA384)),
        Algorithm::RS512 => (AlgorithmFamily::Rsa, By::Rsa(&by_ring::RSA_PKCS1_2048_8192_SHA512)),
        Algorithm::PS256 => (AlgorithmFamily::Rsa, By::Rsa(&by_ring::RSA_PSS_2048_8192_SHA256)),
        Algorithm::PS384 => (AlgorithmFamily::Rsa, By::Rsa(&by_ring::RSA_PSS_2048_8192_SHA384)),
        Algorithm::PS512 => (AlgorithmFamily::Rsa, By::Rsa(&by_ring::RSA_PSS_2048_8192_SHA512)),
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    if key.family() != family {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(Check { algorithm: *algorithm, by, key: key.clone() }))
}

/// A key is a point on a curve, or RSA's two numbers.
enum By {
    Point(&'static dyn VerificationAlgorithm),
    Rsa(&'static RsaParameters),
}

struct Check {
    algorithm: Algorithm,
    by: By,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match (&self.by, self.key.kind()) {
            (By::Point(by), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(*by, point).verify(message, signature)
            }
            (By::Rsa(by), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(by, message, signature)
            }
            (By::Rsa(by), DecodingKeyKind::SecretOrDer(der)) => {
                UnparsedPublicKey::new(*by, der).verify(message, signature)
            }
            (By::Point(_), DecodingKeyKind::RsaModulusExponent { .. }) => return Err(Error::new()),
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Header, Validation, decode, encode};
    use serde_json::{Value, json};

    // Made by OpenSSL 3: {"sub":"alice"}.
    const MODULUS: &str = "weIi36HtDxJ3ZHE_vPRu8_WuJC69tvdP410X6ssK6YulMsMM08ixCFOv6OgtYoQNjZUar3iTePz463aEQJwhFaC8iNuraJVC44yPTeKBDm-KsmllMGkyW5gh3_4oNxWdPPrNK03apIRwUERux156bvte6p0t1cOQO-sw9RlGTRbt7U7jBOks9kmD2T_oiru5XLDkqkexoicH6Y4S9rJBQ8uUwm6t5cGAz2qKx30Laoh_H92xeoLASkEQNUqma5QtQR09MEYtT0x8cl2r2ODnKERQ3Oyz9isxrN_h_h70Ac5PQv8WimAGFbjQgNlkOdIyy6o9ryIjZIVFhpc7jertqQ";
    const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.CSqW6RJr0zZ_05PJo1XWpK6N-qq-qk4-fwm61jrFG7yoNjp8CecpqjLalNoEYK3bWADlvqxU1REJX6g-JGIquseIHFvO3ggi1qsxWgQid5LLTO18UKaLoF2Or2vhdryEKHeQiWdBRxCfbkKMYT5CXKcgyDcKJL8Yf-McdxtQxonrY14Epl5JDfrSH3ohVjinIVhjgY4IyERPNPtWTymKQhZOi3PBVPcM0lN2UIv1Gh-9UFUxNItg0vs4RN723wjm5-Al8MyN-U6JrqSxtq6Cf5adt-oGsLtALjx3EIiFpwK7N9TNTCbUktYFxlk1wemk7SHE6U0kfWYIxPQiNiOm-w";
    const PS256: &str = "eyJhbGciOiJQUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.jFGZpsw-cwvitxNLuoNpNSKBSMJSge6HqgraOABUncfDzJZ-NermOmOp_68zCNriUqh-TA4WudWORV03jB9rtz-Qya6_Gpe5J3O4BEe8qsQYYxE82USnoKmGWqr7iVBOAYXH2nL3ekAFzx9DDYLOtqxwhgM-Ns_LOwspWPNWK2NT6y1orjbjPNXYCu73exTXXv8aOssXShY4R0s__VkTz8ou1qG8CYRfnAks1ld6t2y9heLEDBdUo2w0z5qvy2zMjplnVXZbQ7R5uac_KYK4_4RrwDRuNZROf1v5xkZlY86Yc_pHxTP8oH3y7RiC4XECCH6xqeMvYnuwAbVREv8yZA";
    const P384: [&str; 2] = [
        "F62IzdAvkhV8mKk30gXyAf-QCkJnhSR5GDSTZkpybgC7bReji2-qeOYL7kG80Wdk",
        "Ld4dgkNJYZruVHc8PR2JniEs4Dh1S0wjnnwMoo0WaFvxdS3aJXUXlCJPQwKUq0r7",
    ];
    const ES384: &str = "eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJhbGljZSJ9.e_7GntXuTcMfwD_U_tzTmycrdT_rBHv08M4llJ7d8_9s0nK95KH1kt3XphQeWB3IoYBWV1HyUYT8sKAalEt0w1Y6vbZjtB8NO2UFSz4ZctBcYiaE3pgnsxKIb-9CA2pI";
    const ED25519_KEY: &str = "Xqup40kRs8kRmDcjqEoHXYOIqbC_5Z0EOLR-GYh_5_g";
    const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.GWwLXs2uwi1K3qA8-V-ld7DtUcgbVsJaiTQiDYEtvvvEq9hhvRHvq3dVzZqEVALFfUXthYz9jZ2OIG9ux29hDA";

    fn sub(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<String> {
        install();
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        Ok(decode::<Value>(token, key, &validation)?.claims["sub"].as_str().unwrap_or_default().to_owned())
    }

    #[test]
    fn signatures_of_another_library_are_verified_and_a_changed_byte_is_not() {
        let rsa = DecodingKey::from_rsa_components(MODULUS, "AQAB").unwrap();
        let p384 = DecodingKey::from_ec_components(P384[0], P384[1]).unwrap();
        let ed25519 = DecodingKey::from_ed_components(ED25519_KEY).unwrap();
        for (token, key, algorithm) in [
            (RS256, &rsa, Algorithm::RS256),
            (PS256, &rsa, Algorithm::PS256),
            (ES384, &p384, Algorithm::ES384),
            (EDDSA, &ed25519, Algorithm::EdDSA),
        ] {
            assert_eq!(sub(token, key, algorithm).unwrap(), "alice", "{algorithm:?}");
            // Of the claims, and of the signature.
            for at in [token.find('.').unwrap() + 5, token.rfind('.').unwrap() + 5] {
                let mut changed = token.as_bytes().to_vec();
                changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
                sub(std::str::from_utf8(&changed).unwrap(), key, algorithm).unwrap_err();
            }
        }
    }

    #[test]
    fn our_own_signatures_are_verified_and_shared_secrets_are_not_served() {
        install();
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let claims = json!({"sub": "bob"});
        let token = encode(&Header::new(Algorithm::ES256), &claims, &EncodingKey::from_ec_der(pkcs8.as_ref())).unwrap();
        let public = DecodingKey::from_ec_der(ring::signature::KeyPair::public_key(&pair).as_ref());
        assert_eq!(sub(&token, &public, Algorithm::ES256).unwrap(), "bob");
        let secret = b"a secret that both sides know, and so proves nothing";
        encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret)).unwrap_err();
        sub(&token, &DecodingKey::from_secret(secret), Algorithm::HS256).unwrap_err();
    }
}
