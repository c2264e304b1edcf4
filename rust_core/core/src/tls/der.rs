//! The few fields of certificates and revocation lists that webpki keeps to itself (X.690, DER; RFC 5280).
//!
//! Strict: definite lengths in their shortest form. It is given any certificate that a client shows.

use rustls::pki_types::UnixTime;
use std::time::Duration;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]` of a certificate: its version.
const VERSION: u8 = 0xa0;
/// `[1]` and `[2]` of a certificate: identifiers that nobody uses.
const ISSUER_ID: u8 = 0x81;
const SUBJECT_ID: u8 = 0x82;
/// `[3]` of a certificate: its extensions.
const EXTENSIONS: u8 = 0xa3;
/// `[0]` of a revocation list: its extensions.
const LIST_EXTENSIONS: u8 = 0xa0;
/// `[6]` of a general name: a URI.
const URI: u8 = 0x86;

/// 2.5.29.17, subjectAltName.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.20, cRLNumber.
const LIST_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
/// 2.5.29.37, extKeyUsage.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// 1.3.6.1.5.5.7.3.1, a TLS server.
pub(super) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// 1.3.6.1.5.5.7.3.2, a TLS client.
pub(super) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What is read of a certificate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certificate<'a> {
    /// The serial number's content, with the zero that keeps it positive.
    pub(super) serial: &'a [u8],
    /// The last moment of its validity.
    pub(super) not_after: UnixTime,
    alternative_names: Option<&'a [u8]>,
    extended_key_usage: Option<&'a [u8]>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; None: it is none.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut certificate = Reader(Reader(der).only(SEQUENCE)?);
        let mut fields = Reader(certificate.expect(SEQUENCE)?);
        fields.optional(VERSION)?;
        let serial = fields.expect(INTEGER)?;
        fields.expect(SEQUENCE)?; // the signature's algorithm
        fields.expect(SEQUENCE)?; // the issuer
        let mut validity = Reader(fields.expect(SEQUENCE)?);
        validity.time()?;
        let not_after = validity.time()?;
        fields.expect(SEQUENCE)?; // the subject
        fields.expect(SEQUENCE)?; // its key
        fields.optional(ISSUER_ID)?;
        fields.optional(SUBJECT_ID)?;
        let mut read = Self { serial, not_after, alternative_names: None, extended_key_usage: None };
        if let Some(extensions) = fields.optional(EXTENSIONS)? {
            let mut extensions = Reader(Reader(extensions).only(SEQUENCE)?);
            while !extensions.0.is_empty() {
                let (name, value) = extensions.extension()?;
                read.extension(name, value)?;
            }
        }
        fields.0.is_empty().then_some(read)
    }

    /// The URI, if that is the one alternative name that the certificate has.
    pub(super) fn only_uri(&self) -> Option<&'a str> {
        let names = Reader(self.alternative_names?).only(SEQUENCE)?;
        std::str::from_utf8(Reader(names).only(URI)?).ok()
    }

    /// Whether the certificate is good for `purpose` and says so; `only`: for nothing else.
    pub(super) fn is_for(&self, purpose: &[u8], only: bool) -> bool {
        let Some(purposes) = self.extended_key_usage.and_then(|usage| Reader(usage).only(SEQUENCE)) else {
            return false;
        };
        let mut purposes = Reader(purposes);
        let mut found = false;
        while !purposes.0.is_empty() {
            match purposes.expect(OBJECT) {
                Some(named) if named == purpose => found = true,
                Some(_) if !only => {}
                _ => return false,
            }
        }
        found
    }

    fn extension(&mut self, name: &[u8], value: &'a [u8]) -> Option<()> {
        let field = match name {
            ALTERNATIVE_NAMES => &mut self.alternative_names,
            EXTENDED_KEY_USAGE => &mut self.extended_key_usage,
            _ => return Some(()),
        };
        // No extension may stand twice (RFC 5280, 4.2).
        field.replace(value).is_none().then_some(())
    }
}

/// What is read of a revocation list.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    /// From when on it is fresh.
    pub(super) this_update: UnixTime,
    /// Until when.
    pub(super) next_update: UnixTime,
    /// Its number's content, with the zero that keeps it positive; it grows with each list (RFC 5280, 5.2.3).
    pub(super) number: Option<&'a [u8]>,
}

impl<'a> List<'a> {
    /// Reads a revocation list; None: it is none, or does not say how long it is fresh.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut list = Reader(Reader(der).only(SEQUENCE)?);
        let mut fields = Reader(list.expect(SEQUENCE)?);
        fields.optional(INTEGER)?;
        fields.expect(SEQUENCE)?; // the signature's algorithm
        fields.expect(SEQUENCE)?; // the issuer
        let mut read = Self { this_update: fields.time()?, next_update: fields.time()?, number: None };
        fields.optional(SEQUENCE)?; // the revoked certificates
        if let Some(extensions) = fields.optional(LIST_EXTENSIONS)? {
            let mut extensions = Reader(Reader(extensions).only(SEQUENCE)?);
            while !extensions.0.is_empty() {
                let (name, value) = extensions.extension()?;
                if name == LIST_NUMBER {
                    read.number = Some(Reader(value).only(INTEGER)?);
                }
            }
        }
        fields.0.is_empty().then_some(read)
    }
}

/// A time in ms, as the rest of the house has it.
pub(super) fn milliseconds(time: UnixTime) -> u64 {
    time.as_secs().saturating_mul(1_000)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element, which must have this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.element()?;
        (found == tag).then_some(content)
    }

    /// The next element if it has this tag.
    #[allow(clippy::option_option, reason = "malformed and absent are two things")]
    fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&tag) { self.expect(tag).map(Some) } else { Some(None) }
    }

    /// The name and the value of the next extension.
    fn extension(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let mut content = Reader(self.expect(SEQUENCE)?);
        let name = content.expect(OBJECT)?;
        content.optional(BOOLEAN)?;
        Some((name, content.only(OCTET_STRING)?))
    }

    /// The one element that is left, which must have this tag.
    fn only(mut self, tag: u8) -> Option<&'a [u8]> {
        let content = self.expect(tag)?;
        self.0.is_empty().then_some(content)
    }

    fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let digits = rest.split_off(..usize::from(first - 0x80))?;
                let length = digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit));
                // The shortest form: no leading zero, nothing that fits into one byte.
                if digits.first() == Some(&0) || length < 0x80 {
                    return None;
                }
                length
            }
            _ => return None,
        };
        let content = rest.split_off(..length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// A time as RFC 5280, 4.1.2.5 has it: to the second, in UTC.
    fn time(&mut self) -> Option<UnixTime> {
        let (tag, content) = self.element()?;
        let digits: Vec<u64> = content
            .strip_suffix(b"Z")?
            .iter()
            .map(|byte| byte.is_ascii_digit().then(|| u64::from(byte - b'0')))
            .collect::<Option<_>>()?;
        let pairs: Vec<u64> = digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum * 10 + digit)).collect();
        let (year, rest) = match (tag, digits.len(), &pairs[..]) {
            (UTC_TIME, 12, [year, rest @ ..]) => (if *year < 50 { 2000 } else { 1900 } + year, rest),
            (GENERALIZED_TIME, 14, [century, year, rest @ ..]) => (century * 100 + year, rest),
            _ => return None,
        };
        let &[month @ 1..=12, day @ 1..=31, hour @ ..=23, minute @ ..=59, second @ ..=59] = rest else { return None };
        let seconds = days_since_1970(year, month, day)?.checked_mul(86_400)? + hour * 3_600 + minute * 60 + second;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; None: before it.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years that begin in March put the leap day at their end.
    let years = if month > 2 { year } else { year.checked_sub(1)? };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = years * 365 + years / 4 - years / 100 + years / 400 + day_of_year;
    // 1970-01-01 in the same count.
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<u64> {
        let der = [&[tag, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        Reader(&der).time().map(|time| time.as_secs())
    }

    #[test]
    fn times_are_seconds_since_1970() {
        // Checked with `date -u -d … +%s`.
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(time(UTC_TIME, "000229120000Z"), Some(951_825_600));
        assert_eq!(time(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(time(GENERALIZED_TIME, "21000301000000Z"), Some(4_107_542_400));
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "Z", "70010100000Z", "7001010000000Z", "700101000000", "7001010000+0Z", "701301000000Z"] {
            assert_eq!(time(UTC_TIME, text), None, "{text}");
        }
        for text in ["19691231235959Z", "00000101000000Z", "20270101240000Z", "20270101006000Z", "20270132000000Z"] {
            assert_eq!(time(GENERALIZED_TIME, text), None, "{text}");
        }
        assert_eq!(time(SEQUENCE, "700101000000Z"), None);
    }

    #[test]
    fn lengths_are_definite_and_shortest() {
        let long = [&[OCTET_STRING, 0x82, 0x01, 0x00][..], &[7; 256]].concat();
        assert_eq!(Reader(&long).only(OCTET_STRING), Some(&[7; 256][..]));
        for bad in [
            &[4, 0x80, 0, 0][..],
            &[4, 0x81, 1, 7],
            &[4, 0x82, 0, 0x80],
            &[4, 0x85, 0, 0, 0, 0, 0],
            &[4, 2, 7],
            &[4],
            &[],
        ] {
            assert_eq!(Reader(bad).only(OCTET_STRING), None, "{bad:?}");
        }
    }
}
