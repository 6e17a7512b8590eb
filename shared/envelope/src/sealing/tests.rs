use super::*;

const CANARY: &[u8] = b"{\"password\":\"canary\"}";

fn key(id: &str, byte: u8) -> SealingKey {
    SealingKey::new(id, Secret::new([byte; 32])).unwrap()
}

fn seal(key: &SealingKey) -> String {
    key.public().seal("api", "billing/invoice_account", "gateway", CANARY).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// RFC 9180, appendix A.1.1.1, sequence number 0.
#[test]
fn uses_the_suite_of_the_rfc() {
    let private = "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8";
    let encapsulated = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431";
    let ciphertext = "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9\
                      6d8770ac83d07bea87e13c512a";
    let opened = SUITE.open(
        &EncapsulatedSecret(bytes(encapsulated)),
        &bytes("4f6465206f6e2061204772656369616e2055726e"),
        &bytes("436f756e742d30"),
        &bytes(ciphertext),
        &HpkePrivateKey::from(bytes(private)),
    );
    assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
}

#[test]
fn opens_what_was_sealed_and_each_time_to_another_text() {
    let key = SealingKey::generate("2026-10").unwrap();
    let (first, second) = (seal(&key), seal(&key));
    assert_ne!(first, second);
    assert!(first.starts_with("sealed:v1:2026-10:"), "{first}");
    for sealed in [first, second] {
        let opened = key.open("api", "billing/invoice_account", "gateway", &sealed).unwrap();
        assert_eq!(opened.expose(), CANARY);
    }
    let empty = key.public().seal("a", "b", "c", b"").unwrap();
    assert!(key.open("a", "b", "c", &empty).unwrap().expose().is_empty());
}

#[test]
fn stays_shut_for_another_source_job_section_or_key() {
    let right = key("k", 1);
    let sealed = seal(&right);
    let check = |key: &SealingKey, source: &str, job: &str, section: &str| {
        assert_eq!(key.open(source, job, section, &sealed).unwrap_err(), SealError::Refused);
    };
    check(&right, "dashboard", "billing/invoice_account", "gateway");
    check(&right, "api", "billing/close_month", "gateway");
    check(&right, "api", "billing/invoice_account", "database");
    check(&right, "apib", "illing/invoice_account", "gateway");
    check(&key("k", 2), "api", "billing/invoice_account", "gateway");
    let other_id = key("j", 1).open("api", "billing/invoice_account", "gateway", &sealed);
    assert_eq!(other_id.unwrap_err(), SealError::UnknownKey { key_id: "k".to_owned() });
    // The id is bound too: renaming it in the text does not help.
    let renamed = sealed.replace(":k:", ":j:");
    let opened = key("j", 1).open("api", "billing/invoice_account", "gateway", &renamed);
    assert_eq!(opened.unwrap_err(), SealError::Refused);
}

#[test]
fn stays_shut_after_any_altered_bit() {
    let key = key("k", 1);
    let section: SealedSection = seal(&key).parse().unwrap();
    let opens = |section: &SealedSection| {
        key.open("api", "billing/invoice_account", "gateway", &section.to_string()).is_ok()
    };
    assert!(opens(&section));
    for bit in 0..section.ciphertext.len() * 8 {
        let mut altered = section.clone();
        altered.ciphertext[bit / 8] ^= 1 << (bit % 8);
        assert!(!opens(&altered), "ciphertext bit {bit}");
    }
    for bit in 0..256 {
        let mut altered = section.clone();
        altered.encapsulated[bit / 8] ^= 1 << (bit % 8);
        assert!(!opens(&altered), "encapsulated bit {bit}");
    }
    for length in 0..section.ciphertext.len() {
        let mut altered = section.clone();
        altered.ciphertext.truncate(length);
        assert!(!opens(&altered), "length {length}");
    }
}

#[test]
fn opens_by_key_id_with_old_keys_too() {
    let (old, new) = (key("2026-09", 1), key("2026-10", 2));
    let sealed = seal(&old);
    let ring = SealingRing::new([old, new]);
    assert!(ring.holds("2026-09") && ring.holds("2026-10") && !ring.holds("2026-11"));
    let opened = ring.open("api", "billing/invoice_account", "gateway", &sealed).unwrap();
    assert_eq!(opened.expose(), CANARY);
    let unknown = seal(&key("2026-11", 3));
    let error = ring.open("api", "billing/invoice_account", "gateway", &unknown).unwrap_err();
    assert_eq!(error, SealError::UnknownKey { key_id: "2026-11".to_owned() });
}

#[test]
fn reads_and_writes_keys_as_text() {
    let private: Vec<u8> = (0..32).collect();
    let private = Secret::new(to_base64(&private));
    let key = SealingKey::from_text("2026-10", &private).unwrap();
    // Computed with another implementation of X25519.
    let public = "x25519:2026-10:j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8";
    assert_eq!(key.public().to_string(), public);
    assert_eq!(public.parse(), Ok(key.public().clone()));
    assert_eq!(key.to_text().expose(), private.expose());
    let wrong = |text: &str| text.parse::<SealingPublicKey>().unwrap_err();
    assert_eq!(wrong("ed25519:k:AAAA"), KeyError::SealingPublic);
    assert_eq!(wrong("x25519:AAAA"), KeyError::SealingPublic);
    assert_eq!(wrong("x25519:k:AAAA"), KeyError::SealingPublic);
    assert_eq!(wrong("x25519:k k:AAAA"), KeyError::KeyId);
    let short = Secret::new("AAAA".to_owned());
    assert_eq!(SealingKey::from_text("k", &short).unwrap_err(), KeyError::Bytes);
    assert_eq!(SealingKey::generate("k:").unwrap_err(), KeyError::KeyId);
}

#[test]
fn refuses_odd_texts_and_sizes() {
    let key = key("k", 1);
    let open = |text: &str| key.open("a", "b", "c", text).unwrap_err();
    for text in ["", "sealed", "sealed:", "sealed:v1:k", "sealed:v1:k:AA:", "{}"] {
        let expected = if text == "sealed:" { SealError::Version } else { SealError::Malformed };
        assert_eq!(open(text), expected, "{text}");
    }
    assert_eq!(open("sealed:v2:k:AA:AA"), SealError::Version);
    let enc = to_base64(&[9; 32]);
    assert_eq!(open(&format!("sealed:v1:k:{enc}:A")), SealError::Malformed);
    assert_eq!(open(&format!("sealed:v1:k:{enc}:AA:AA")), SealError::Malformed);
    assert_eq!(open(&format!("sealed:v1:k:{enc}:")), SealError::Refused);
    assert_eq!(open(&format!("sealed:v1:k:{}:AAAA", to_base64(&[0; 32]))), SealError::Refused);
    let big = vec![0; LONGEST_SECTION + 1];
    let too_large = key.public().seal("a", "b", "c", &big).unwrap_err();
    assert_eq!(too_large, SealError::TooLarge { bytes: LONGEST_SECTION + 1, max: LONGEST_SECTION });
    let longest = key.public().seal("a", "b", "c", &big[1..]).unwrap();
    assert!(key.open("a", "b", "c", &longest).is_ok());
    let huge = to_base64(&vec![0; LONGEST_SECTION + TAG_LEN + 1]);
    assert!(matches!(open(&format!("sealed:v1:k:{enc}:{huge}")), SealError::TooLarge { .. }));
    let zero = format!("x25519:k:{}", to_base64(&[0; 32])).parse::<SealingPublicKey>().unwrap();
    assert_eq!(zero.seal("a", "b", "c", b"x"), Err(SealError::UnusableKey));
}

#[test]
fn tells_sealed_sections_from_plain_ones() {
    let raw = |value: &str| crate::RawJson::from_value(&value).unwrap();
    let sealed = seal(&key("k", 1));
    let section = crate::is_sealed(&raw(&sealed)).unwrap();
    assert_eq!((section.key_id.as_str(), section.to_string()), ("k", sealed));
    for plain in ["", "seal", "plain text"] {
        assert_eq!(SealedSection::from_json(&raw(plain)), Ok(None));
    }
    assert_eq!(SealedSection::from_json(&crate::RawJson::empty_object()), Ok(None));
    assert_eq!(SealedSection::from_json(&raw("sealed:v1:k")), Err(SealError::Malformed));
    assert_eq!(crate::is_sealed(&raw("sealed:v1:k")), None);
}

#[test]
fn shows_neither_private_keys_nor_plaintext() {
    let private = [b'S'; 32];
    let key = SealingKey::new("k", Secret::new(private)).unwrap();
    let sealed = seal(&key);
    let ring = SealingRing::new([key.clone()]);
    let opened = ring.open("api", "billing/invoice_account", "gateway", &sealed).unwrap();
    let section: SealedSection = sealed.parse().unwrap();
    let shown = format!("{key:?} {key:#?} {ring:?} {opened:?} {opened} {section:?}");
    for secret in ["canary", &to_base64(&private), "83, 83", "99, 97, 110"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
