//! What a forger might do to a genuine request.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use envelope::{Algorithm, Proof, SigningKey};
use values::{Secret, TaskId, Timestamp};

use crate::requests::{Request, signing, source};

/// Takes what a change is called and the change.
type Push<'a> = dyn FnMut(String, &dyn Fn(&mut Request)) + 'a;

/// Everything a forger might change about a genuine request.
pub(super) fn mutations(genuine: &Request, keys: &[SigningKey]) -> Vec<(String, Request)> {
    let mut all = Vec::new();
    let mut push = |what: String, change: &dyn Fn(&mut Request)| {
        let mut altered = genuine.clone();
        change(&mut altered);
        all.push((what, altered));
    };
    bit_flips(genuine, &mut push);
    truncations(genuine, &mut push);
    // Replays under other ids.
    for n in 0..=255 {
        push(format!("task id {n}"), &|r| r.stamp.task_id = TaskId::from_bytes([n; 16]));
    }
    for name in ["", "api", "scheduler", "dashboard", "operator", "API", "scheduler "] {
        if name != genuine.source {
            push(format!("source {name}"), &|r| name.clone_into(&mut r.source));
        }
    }
    for name in ["", "billing/close_month", "billing/invoice_accoun", "Billing/invoice_account"] {
        push(format!("job {name}"), &|r| name.clone_into(&mut r.job_name));
    }
    push("swapped bodies".to_owned(), &|r| std::mem::swap(&mut r.configuration, &mut r.payload));
    push("swapped names".to_owned(), &|r| std::mem::swap(&mut r.source, &mut r.job_name));
    push("swapped times".to_owned(), &|r| {
        std::mem::swap(&mut r.stamp.issued_at, &mut r.stamp.not_after);
    });
    push("no run-at".to_owned(), &|r| r.stamp.run_at = None);
    push("no unique key".to_owned(), &|r| r.stamp.unique_key = None);
    push("no proof".to_owned(), &|r| r.proof = None);
    push("moved border".to_owned(), &|r| {
        let first = r.job_name.remove(0);
        r.source.push(first);
    });
    forgeries(genuine, keys, &mut push);
    for algorithm in [Algorithm::Mac, Algorithm::Ed25519] {
        if algorithm != genuine.proof.as_ref().unwrap().algorithm {
            push(format!("called {algorithm}"), &|r| {
                r.proof.as_mut().unwrap().algorithm = algorithm;
            });
        }
    }
    all
}

/// Proofs by other keys: of other sources, and of keys that nobody registered.
fn forgeries(genuine: &Request, keys: &[SigningKey], push: &mut Push<'_>) {
    let own = genuine.proof.as_ref().unwrap();
    for key in keys {
        let other = Request::proven_with(key).proof.unwrap();
        // The source's own other key proves the same request rightly, under its own id only.
        if key.source().as_str() != genuine.source {
            push(format!("proof of {key:?}"), &|r| r.proof = Some(other.clone()));
        }
        if other != *own {
            push(format!("proof of {key:?}, renamed"), &|r| {
                r.proof = Some(Proof { key_id: own.key_id.clone(), ..other.clone() });
            });
        }
    }
    for algorithm in [Algorithm::Mac, Algorithm::Ed25519] {
        for id in ["2026-10", "2026-11", "2026-12"] {
            let forger = signing(algorithm, id, &genuine.source, 99);
            push(format!("forged by {forger:?}"), &|r| r.prove(&forger));
        }
    }
    // Algorithm confusion: the public key of a pair, used as the secret of a MAC.
    for public in [2, 3].map(|n| signing(Algorithm::Ed25519, "k", "api", n).public_text()) {
        let text = Secret::new(public.unwrap().replace("ed25519:", ""));
        for id in ["2026-10", "2026-11"] {
            let forger = SigningKey::from_text(Algorithm::Mac, id, source(&genuine.source), &text);
            let forger = forger.unwrap();
            push(format!("mac with a public key as {id}"), &|r| r.prove(&forger));
            push(format!("mac with a public key as {id}, called ed25519"), &|r| {
                r.prove(&forger);
                r.proof.as_mut().unwrap().algorithm = Algorithm::Ed25519;
            });
        }
    }
}

fn bit_flips(genuine: &Request, push: &mut Push<'_>) {
    let flip = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
    let flip_text = |text: &mut String, bit: usize| {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        *text = String::from_utf8_lossy(&bytes).into_owned();
    };
    let flip_time = |time: &mut Timestamp, bit: usize| {
        *time = Timestamp::from_micros(time.as_micros() ^ (1 << bit));
    };
    for bit in 0..128 {
        push(format!("task id bit {bit}"), &|r| {
            let mut id = *r.stamp.task_id.as_bytes();
            flip(&mut id, bit);
            r.stamp.task_id = TaskId::from_bytes(id);
        });
    }
    // Beyond bit 56 times are held at their bounds, which is one change more.
    for bit in 0..57 {
        push(format!("issued-at bit {bit}"), &|r| flip_time(&mut r.stamp.issued_at, bit));
        push(format!("not-after bit {bit}"), &|r| flip_time(&mut r.stamp.not_after, bit));
        push(format!("run-at bit {bit}"), &|r| {
            flip_time(r.stamp.run_at.as_mut().unwrap(), bit);
        });
    }
    for bit in 0..8 {
        push(format!("priority bit {bit}"), &|r| r.stamp.priority ^= 1 << bit);
    }
    for bit in 0..32 {
        push(format!("max attempts bit {bit}"), &|r| r.stamp.max_attempts ^= 1 << bit);
    }
    for bit in 0..genuine.stamp.unique_key.as_ref().unwrap().len() * 8 {
        push(format!("unique key bit {bit}"), &|r| {
            flip_text(r.stamp.unique_key.as_mut().unwrap(), bit);
        });
    }
    for bit in 0..genuine.source.len() * 8 {
        push(format!("source bit {bit}"), &|r| flip_text(&mut r.source, bit));
    }
    for bit in 0..genuine.job_name.len() * 8 {
        push(format!("job name bit {bit}"), &|r| flip_text(&mut r.job_name, bit));
    }
    for bit in 0..genuine.configuration.len() * 8 {
        push(format!("configuration bit {bit}"), &|r| flip(&mut r.configuration, bit));
    }
    for bit in 0..genuine.payload.len() * 8 {
        push(format!("payload bit {bit}"), &|r| flip(&mut r.payload, bit));
    }
    let proof = genuine.proof.as_ref().unwrap();
    for bit in 0..proof.bytes.len() * 8 {
        push(format!("proof bit {bit}"), &|r| flip(&mut r.proof.as_mut().unwrap().bytes, bit));
    }
    for bit in 0..proof.key_id.len() * 8 {
        push(format!("key id bit {bit}"), &|r| {
            flip_text(&mut r.proof.as_mut().unwrap().key_id, bit);
        });
    }
    // Every byte of the payload replaced by every ASCII digit, the usual target of a forger.
    for index in 0..genuine.payload.len() {
        for digit in b'0'..=b'9' {
            if genuine.payload[index] != digit {
                push(format!("payload byte {index}: {digit}"), &|r| r.payload[index] = digit);
            }
        }
    }
}

fn truncations(genuine: &Request, push: &mut Push<'_>) {
    for length in 0..genuine.proof.as_ref().unwrap().bytes.len() {
        push(format!("proof of {length} bytes"), &|r| {
            r.proof.as_mut().unwrap().bytes.truncate(length);
        });
    }
    push("longer proof".to_owned(), &|r| r.proof.as_mut().unwrap().bytes.push(0));
    for length in 0..genuine.payload.len() {
        push(format!("payload of {length} bytes"), &|r| r.payload.truncate(length));
    }
    for length in 0..genuine.configuration.len() {
        push(format!("configuration of {length} bytes"), &|r| r.configuration.truncate(length));
    }
    for space in [" ", "\n", "\0"] {
        push(format!("payload and {space:?}"), &|r| r.payload.extend(space.as_bytes()));
        push(format!("configuration and {space:?}"), &|r| r.configuration.extend(space.as_bytes()));
    }
}
