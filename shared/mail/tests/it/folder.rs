//! The folder of a worker without a mail server.

use std::fs;

use mail::{
    Attachment, Delivery, LETTER_BYTES_MAX, MailError, Mailer, Outlet, Parcel, Reach, Recipient,
};

use crate::support::{address, date, letter_to, templates, welcome};

#[tokio::test]
async fn a_letter_becomes_one_file_however_often_it_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("made/when/missing");
    let mailer = Mailer::open(Outlet::folder(&inner), Reach::Domains(vec![])).unwrap();
    let letter = letter_to(&templates(), "ann@example.org");
    for _ in 0..2 {
        let Delivery::Sent { message } = mailer.deliver(&letter).await else { panic!() };
        assert!(message.ends_with("/20261102T140506_welcome_mail_01j.eml"), "{message}");
        assert_eq!(fs::read(&message).unwrap(), letter.as_bytes());
    }
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    mailer.check().await.unwrap();

    fs::remove_dir_all(&inner).unwrap();
    assert!(matches!(mailer.deliver(&letter).await, Delivery::Later { code: None, .. }));
    assert!(mailer.check().await.is_err());
}

#[test]
fn a_folder_that_cannot_be_made_is_said_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Mailer::open(Outlet::folder(file.path().join("x")), Reach::Everyone).unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
}

#[test]
fn a_repeat_is_the_same_mail_to_the_byte() {
    let letter = letter_to(&templates(), "ann@example.org");
    assert_eq!(letter, letter_to(&templates(), "ann@example.org"));
    assert_eq!(letter.message_id(), "<mail_01j@example.com>");
}

#[test]
fn heads_cannot_be_extended_and_letters_not_grow_without_end() {
    let templates = templates();
    let write = |id, name, attachments: &[Attachment]| {
        let to = Recipient::new(address("ann@example.org"), Some(name));
        let message = &welcome("Ann");
        templates.letter(&Parcel { id, date: date(), to: &to, message, attachments }).map(drop)
    };
    assert!(write("mail_1", "Žofie \"Z\" <z@x.org>, Eve", &[]).is_ok());
    for name in ["Ann\r\nBcc: eve@example.org", "Ann\nX", "Ann\u{2028}X", "Ann\0"] {
        let error = write("mail_1", name, &[]).unwrap_err();
        assert!(matches!(error, MailError::NotOneLine { field: "recipient's name" }), "{error}");
    }
    let pdf = |name, bytes| Attachment::pdf(name, vec![b'x'; bytes]);
    let error = write("mail_1", "Ann", &[pdf("a\r\nb.pdf", 1)]).unwrap_err();
    assert!(matches!(error, MailError::NotOneLine { field: "attachment's name" }), "{error}");
    let long = "x".repeat(101);
    for id in ["", "a b", "a>b", "a\r\nb", &long] {
        assert!(matches!(write(id, "Ann", &[]).unwrap_err(), MailError::BadId), "{id}");
    }
    let error = write("mail_1", "Ann", &[pdf("a.pdf", LETTER_BYTES_MAX)]).unwrap_err();
    assert!(matches!(error, MailError::TooLarge { .. }), "{error}");
}
