//! Enums that are words, as another crate defines them.

values::words! {
    /// A colour.
    Colour, "a colour":
    /// Like grass.
    Green = "green",
    /// Like the sea.
    Blue = "blue",
}

#[test]
fn words_are_read_as_they_are_printed_and_others_are_told_of_them() {
    for colour in Colour::ALL {
        assert_eq!(colour.to_string().parse(), Ok(*colour));
        let json = serde_json::to_string(colour).unwrap();
        assert_eq!(serde_json::from_str::<Colour>(&json).unwrap(), *colour);
    }
    let told = |text: &str| text.parse::<Colour>().unwrap_err().to_string();
    assert_eq!(told("red"), "`red` is not a colour; expected one of `green`, `blue`");
    let near = "`gren` is not a colour; expected one of `green`, `blue`; did you mean `green`?";
    assert_eq!(told("gren"), near);
}
