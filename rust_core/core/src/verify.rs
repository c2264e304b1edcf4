//! Who signed it: Ed25519 under the one normative rule, over batches on all cores.
//!
//! The rule is exactly what libsodium 1.0.18–1.0.22 `crypto_sign_verify_detached` accepts; `verify_strict` equals it on every
//! published edge vector. Never a batch equation: a crafted signature can pass one and fail alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};

use crate::cores;
use crate::definition::{Definition, Roster};
use crate::error::{Error, Result};
use crate::statement::{self, Body, Statement};

/// Whether `signature` is `public_key`'s over `message`. A key that is no point verifies nothing.
pub fn signature(public_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public_key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// Whether a key may be enrolled: canonical, on the curve, of prime order (libsodium's `crypto_core_ed25519_is_valid_point`).
pub fn enrollable(public_key: &[u8; 32]) -> bool {
    let compressed = CompressedEdwardsY(*public_key);
    compressed
        .decompress()
        .is_some_and(|point| point.compress() == compressed && !point.is_small_order() && point.is_torsion_free())
}

/// `enrollable` for many keys, on all cores; what has not 32 bytes is none.
pub fn enrollable_all(public_keys: &[&[u8]]) -> Vec<bool> {
    cores::map(public_keys, WORTH_A_CORE, |key| <&[u8; 32]>::try_from(*key).is_ok_and(enrollable))
}

/// `signature` for many (public key, message, signature), on all cores; what has not 32 and 64 bytes does not verify.
pub fn signatures(batch: &[(&[u8], &[u8], &[u8])]) -> Vec<bool> {
    let one = |(key, message, sealed): &(&[u8], &[u8], &[u8])| match ((*key).try_into(), (*sealed).try_into()) {
        (Ok(key), Ok(sealed)) => signature(key, message, sealed),
        _ => false,
    };
    cores::map(batch, WORTH_A_CORE, one)
}

/// The public key of a 32 byte seed.
pub fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// Where the keys of signers are looked up.
pub trait Signers: Sync {
    /// The public key of a device in the roster.
    fn device(&self, number: u64) -> Option<[u8; 32]>;
    /// The public key of the commission member with this key id.
    fn member(&self, kid: &[u8; 8]) -> Option<[u8; 32]>;
}

impl Signers for (&Definition, &Roster) {
    fn device(&self, number: u64) -> Option<[u8; 32]> {
        self.1.device(number).map(|device| *device.key)
    }

    fn member(&self, kid: &[u8; 8]) -> Option<[u8; 32]> {
        self.0.commission_keys().iter().find(|key| statement::kid(key) == *kid).copied()
    }
}

/// Signatures or keys that are worth waking another core for: checking one takes 30 µs, handing some over takes 20.
const WORTH_A_CORE: usize = 4;

/// The first five checks at the door (docs/packet.md): size, envelope, payload, signer, signature.
///
/// # Errors
/// `statement.malformed`, `statement.unknown_device` or `statement.signature`; the first failure answers.
pub fn check(bytes: &[u8], signers: &dyn Signers) -> Result<Statement> {
    let decoded = statement::decode(bytes)?;
    let key = match &decoded.body {
        Body::Packet(packet) => {
            let key = signers.device(packet.device).ok_or(Error::UnknownSigner(
                "the device is not in the roster; ask the commission, and send the same bytes again later",
            ))?;
            if statement::kid(&key) != decoded.frame.kid {
                return Err(Error::UnknownSigner(
                    "the roster holds another key for this device than the one that signed",
                ));
            }
            key
        }
        Body::Decision(_) => signers
            .member(&decoded.frame.kid)
            .ok_or(Error::UnknownSigner("the key that signed is not one of the definition's commission keys"))?,
    };
    if signature(&key, &decoded.frame.signed_bytes(bytes), &decoded.frame.signature) {
        Ok(decoded)
    } else {
        Err(Error::Signature)
    }
}

/// `check` for a batch, on all cores; the verdicts stand in the batch's order. `keep` takes what the caller needs of each
/// statement at once: a decoded one may be a dozen times as large as its bytes. A fault of ours costs one statement its
/// verdict and no other.
pub fn check_all<T: Send>(
    batch: &[&[u8]],
    signers: &dyn Signers,
    keep: impl Fn(&[u8], Statement) -> T + Sync,
) -> Vec<Result<T>> {
    let one = |bytes: &&[u8]| {
        catch_unwind(AssertUnwindSafe(|| check(bytes, signers).map(|statement| keep(bytes, statement))))
            .unwrap_or(Err(Error::Fault))
    };
    cores::map(batch, WORTH_A_CORE, one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor::Item;
    use crate::statement::{Kind, kid, sign};

    const SEED: [u8; 32] = [3; 32];

    struct One([u8; 32]);

    impl Signers for One {
        fn device(&self, number: u64) -> Option<[u8; 32]> {
            (number == 7).then_some(self.0)
        }

        fn member(&self, wanted: &[u8; 8]) -> Option<[u8; 32]> {
            (kid(&self.0) == *wanted).then_some(self.0)
        }
    }

    fn packet(device: u64) -> Vec<u8> {
        let figure = Item::Array(vec![Item::Uint(3), Item::Uint(40)]);
        let report = Item::Array(vec![Item::Uint(2), Item::Uint(1), Item::Array(vec![figure])]);
        let fields = vec![
            Item::Bytes(vec![1; 32]),
            Item::Uint(device),
            Item::Uint(1),
            Item::Uint(1),
            Item::Bytes(vec![]),
            Item::Uint(5),
            report,
        ];
        Item::Array(fields).encode()
    }

    #[test]
    fn each_check_answers_in_its_order() {
        let signers = One(public_key(&SEED));
        let good = sign(Kind::Packet, &packet(7), &SEED).unwrap();
        assert!(check(&good, &signers).is_ok());

        let stranger = sign(Kind::Packet, &packet(8), &SEED).unwrap();
        let borrowed = sign(Kind::Packet, &packet(7), &[4; 32]).unwrap();
        let mut forged = good.clone();
        *forged.last_mut().unwrap() ^= 1;
        let codes: Vec<_> = check_all(&[&good[1..], &stranger, &borrowed, &forged], &signers, |_, _| ())
            .into_iter()
            .map(|verdict| verdict.unwrap_err().code())
            .collect();
        assert_eq!(
            codes,
            ["statement.malformed", "statement.unknown_device", "statement.unknown_device", "statement.signature"]
        );
    }

    #[test]
    fn a_fault_of_ours_costs_one_verdict() {
        let signers = One(public_key(&SEED));
        let sound = sign(Kind::Packet, &packet(7), &SEED).unwrap();
        let fatal = sound.clone();
        let verdicts = check_all(&[&fatal, &sound], &signers, |bytes, _| {
            assert!(!std::ptr::eq(bytes, fatal.as_slice()), "planted");
        });
        assert_eq!(verdicts, [Err(Error::Fault), Ok(())]);
    }

    #[test]
    fn small_and_mixed_order_points_are_not_enrolled() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(!enrollable(&identity));
        let mut negative_zero = identity;
        negative_zero[31] = 0x80;
        assert!(!enrollable(&negative_zero));
        assert!(enrollable(&public_key(&[9; 32])));
        // An honest key with a point of order 8 added to it: on the curve, canonical, not of prime order.
        let honest = CompressedEdwardsY(public_key(&[9; 32])).decompress().unwrap();
        let mixed = (honest + curve25519_dalek::constants::EIGHT_TORSION[1]).compress().to_bytes();
        assert!(!enrollable(&mixed));
        assert_eq!(enrollable_all(&[&identity, &[0xff; 32], &[]]), [false, false, false]);
    }
}
