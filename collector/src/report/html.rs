//! A page that needs nothing but itself: text escaped, one style sheet inside, a policy that allows no request.

use shopfloor::hash::Hash;

/// Builds a page from top to bottom. Everything that is not a tag of ours goes through [`escape`].
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// The beginning of a page in Chinese with one style sheet.
    pub fn new(title: &str, style: &str) -> Self {
        let mut page = Self::default();
        page.raw("<!doctype html>\n<html lang=\"zh-CN\">\n<head>\n<meta charset=\"utf-8\">\n");
        // The policy stands in the file too, so that it holds where the file lies on a disk.
        page.raw(&format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n", policy(style)));
        page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        page.raw(&format!("<title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n", escape(title)));
        page
    }

    /// Adds markup of ours.
    pub fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// Adds a text between two tags: `<h2>text</h2>`.
    pub fn element(&mut self, tag: &str, text: &str) {
        let name = tag.split(' ').next().unwrap_or(tag);
        self.raw(&format!("<{tag}>{}</{name}>\n", escape(text)));
    }

    /// The page.
    pub fn finish(mut self) -> String {
        self.raw("</body>\n</html>\n");
        self.0
    }
}

/// A text as it may stand between tags and inside quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What has no glyph is shown as such; a line may break.
            other if other.is_control() && other != '\n' => safe.push('\u{FFFD}'),
            other => safe.push(other),
        }
    }
    safe
}

/// The content security policy of a page with this style sheet: nothing is loaded from anywhere.
pub fn policy(style: &str) -> String {
    let hash = base64(Hash::of(style.as_bytes()).as_bytes());
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let part = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = part(0) << 16 | part(1) << 8 | part(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            let used = place <= chunk.len();
            text.push(if used { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_person_typed_becomes_markup() {
        assert_eq!(escape("<b>\"A&B\"</b>'\u{0}"), "&lt;b&gt;&quot;A&amp;B&quot;&lt;/b&gt;&#39;\u{FFFD}");
        let mut page = Page::new("a</title>", "p{}");
        page.element("td class=\"x\"", "<script>");
        let text = page.finish();
        assert!(text.contains("a&lt;/title&gt;") && text.contains("<td class=\"x\">&lt;script&gt;</td>"), "{text}");
    }

    #[test]
    fn base_64_is_that_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_policy_names_the_style_and_no_origin() {
        let found = policy("");
        assert!(found.contains("'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"), "{found}");
        assert!(!found.contains("http"));
    }
}
