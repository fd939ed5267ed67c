//! Every format of an origin log that cfray reads.

use crate::spec::FormatSpec;

/// Sorted by name. Adding a format: one file, one line here.
pub static FORMATS: &[&FormatSpec] = &[
    &crate::apache_access::FORMAT,
    &crate::apache_error::FORMAT,
    &crate::app::FORMAT,
    &crate::container::FORMAT,
    &crate::custom_access::FORMAT,
    &crate::fail2ban::FORMAT,
    &crate::haproxy::FORMAT,
    &crate::journal_export::FORMAT,
    &crate::journal_json::FORMAT,
    &crate::json_access::FORMAT,
    &crate::kernel::FORMAT,
    &crate::lighttpd::FORMAT,
    &crate::litespeed::FORMAT,
    &crate::modsec_audit::FORMAT,
    &crate::nginx_access::FORMAT,
    &crate::nginx_error::FORMAT,
    &crate::php_error::FORMAT,
    &crate::php_fpm::FORMAT,
    &crate::php_fpm_access::FORMAT,
    &crate::php_slow::FORMAT,
    &crate::syslog::FORMAT,
    &crate::uvicorn::FORMAT,
    &crate::uwsgi::FORMAT,
];

/// Looks a format up by its fixed name.
pub fn by_name(name: &str) -> Option<&'static FormatSpec> {
    FORMATS.iter().copied().find(|f| f.name == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::detect;
    use crate::spec::{RecordParser, Sample};
    use proptest::prelude::*;

    /// One record a sample, as a file would hold them.
    fn file(format: &FormatSpec) -> Vec<u8> {
        format.samples.iter().flat_map(|s| [s.as_bytes(), b"\n"].concat()).collect()
    }

    fn parser(format: &FormatSpec) -> Box<dyn RecordParser> {
        let file = file(format);
        (format.detect)(&Sample::from_bytes(&file)).expect(format.name).parser
    }

    #[test]
    fn names_are_sorted_and_unique() {
        for pair in FORMATS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn every_format_documents_itself() {
        for format in FORMATS {
            assert!(format.samples.len() >= 3, "{}", format.name);
            assert!(!format.title.is_empty() && !format.docs.is_empty(), "{}", format.name);
        }
    }

    #[test]
    fn every_format_is_detected_as_itself() {
        for format in FORMATS {
            let file = file(format);
            let found = detect(&Sample::from_bytes(&file)).expect(format.name);
            assert_eq!(found.parser.format(), format.name, "{}", found.why);
            // `app` is for what nothing else knows and must never win over another format.
            let least = if format.name == "app" { 1 } else { 500 };
            assert!((least..=1000).contains(&found.score), "{}: {} ({})", format.name, found.score, found.why);
            assert!(found.why.len() > 10, "{}", format.name);
        }
    }

    #[test]
    fn every_sample_is_read_by_its_own_parser() {
        for format in FORMATS {
            let whole = parser(format);
            for sample in format.samples {
                // A format may have two notations, of which a file holds one: then the sample alone decides.
                let alone = || (format.detect)(&Sample::from_bytes(sample.as_bytes())).map(|d| d.parser.parse(sample.as_bytes()).is_ok());
                assert!(whole.parse(sample.as_bytes()).is_ok() || alone() == Some(true), "{}: {sample}", format.name);
            }
        }
    }

    #[test]
    fn samples_cut_into_the_records_they_are() {
        for format in FORMATS {
            let parser = parser(format);
            for sample in format.samples {
                let records = Sample::from_bytes(sample.as_bytes()).records(&*parser);
                assert_eq!(records.len(), 1, "{}: {sample}", format.name);
            }
        }
    }

    #[test]
    fn nothing_is_detected_in_prose() {
        let text = b"Once upon a midnight dreary,\nwhile I pondered, weak and weary,\nover many a quaint and curious volume\n";
        assert!(detect(&Sample::from_bytes(text)).is_none_or(|d| d.score < 200));
        assert!(detect(&Sample::from_bytes(b"")).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120), at in any::<prop::sample::Index>(), flip in any::<u8>()) {
            let sample = Sample { lines: vec![&bytes] };
            let _ = detect(&sample);
            for format in FORMATS {
                let parser = parser(format);
                let _ = parser.parse(&bytes);
                let _ = parser.starts_record(&bytes);
                // A sample with one byte changed.
                let mut text = format.samples[0].as_bytes().to_vec();
                let i = at.index(text.len());
                text[i] = flip;
                let _ = parser.parse(&text);
                let _ = parser.continues(&text, &bytes);
            }
        }
    }
}
