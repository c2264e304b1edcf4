//! The packet: what a device reports (docs/packet.md, "Payload").

use crate::cbor::{Reader, Writer, refuse};
use crate::error::{Result, Rule};
use crate::{Hash, MAX_INTEGER};

/// The most attachments of one packet: the pages of a protocol and its slips.
pub const MAX_ATTACHMENTS: u64 = 16;
/// The largest attachment in bytes, 20 MiB: a page scanned in colour at 600 dpi.
pub const MAX_ATTACHMENT: u64 = 20 << 20;

/// A device's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// SHA-256 of `election.json`.
    pub definition: Hash,
    /// The device's number in the roster.
    pub device: u64,
    /// The polling station's number.
    pub station: u64,
    /// 1, 2, 3 … for this device.
    pub sequence: u64,
    /// The id of this device's previous packet; None exactly for sequence 1.
    pub previous: Option<Hash>,
    /// Milliseconds since the Unix epoch on the device's clock.
    pub signed_at: u64,
    /// What it reports.
    pub report: Report,
}

/// The five reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Before the first voter.
    Opening {
        /// Ballots ever scanned by this box.
        counter: u64,
        /// SHA-256 of its firmware.
        firmware: Hash,
        /// What each counter shows.
        zeros: Vec<Zero>,
    },
    /// An identification terminal's progress.
    Turnout {
        /// Up to when, in ms since the Unix epoch.
        as_of: u64,
        /// Registered, identified.
        figures: Vec<Figure>,
    },
    /// The machine's count.
    Result {
        /// When voting ended, in ms since the Unix epoch.
        closed_at: u64,
        /// 1 normal, 2 recovered memory, 3 rescan, 4 counted by hand.
        origin: u64,
        /// Ballots ever scanned by this box.
        counter: u64,
        /// Figures of the voters.
        figures: Vec<Figure>,
        /// One a contest, ascending.
        counts: Vec<Count>,
        /// Papers named by their hash.
        attachments: Vec<Attachment>,
    },
    /// The commission's paper, keyed in.
    Protocol {
        /// When voting ended, in ms since the Unix epoch.
        closed_at: u64,
        /// The id of the protocol it replaces.
        corrects: Option<Hash>,
        /// 0 first, 1 keying, 2 recount, 3 court, 4 better scan.
        cause: u64,
        /// Figures of the voters.
        figures: Vec<Figure>,
        /// One a contest, ascending.
        counts: Vec<Count>,
        /// Papers named by their hash.
        attachments: Vec<Attachment>,
    },
    /// Papers that follow later.
    Documents {
        /// Papers named by their hash.
        attachments: Vec<Attachment>,
    },
}

impl Report {
    /// The report's number in the format.
    pub fn number(&self) -> u64 {
        match self {
            Self::Opening { .. } => 1,
            Self::Turnout { .. } => 2,
            Self::Result { .. } => 3,
            Self::Protocol { .. } => 4,
            Self::Documents { .. } => 5,
        }
    }
}

/// What a box shows before the first voter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zero {
    /// The contest's number.
    pub contest: u64,
    /// One a choice, in the definition's order.
    pub votes: Vec<u64>,
}

/// The count of one contest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The contest's number.
    pub contest: u64,
    /// Figures of this ballot paper, codes ascending.
    pub figures: Vec<Figure>,
    /// One a choice, in the definition's order.
    pub votes: Vec<u64>,
}

/// One line of a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// The line's code.
    pub code: u64,
    /// Its value.
    pub value: u64,
}

/// A paper, named by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// SHA-256 of the file.
    pub sha256: Hash,
    /// 1 PDF, 2 PNG, 3 JPEG, 4 TIFF.
    pub media: u64,
    /// The file's size in bytes.
    pub size: u64,
    /// 1 protocol, 2 box slip, 3 identification slip, 4 zero slip, 5 act or complaint, 6 other.
    pub document: u64,
    /// The page's number.
    pub page: u64,
}

impl Packet {
    /// The papers that the packet names.
    pub fn attachments(&self) -> &[Attachment] {
        match &self.report {
            Report::Opening { .. } | Report::Turnout { .. } => &[],
            Report::Result { attachments, .. }
            | Report::Protocol { attachments, .. }
            | Report::Documents { attachments } => attachments,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self> {
        reader.tuple(7)?;
        let definition = reader.fixed()?;
        let device = reader.number()?;
        let station = reader.number()?;
        let sequence = reader.number()?;
        let previous = reader.optional_hash()?;
        if previous.value.is_none() != (sequence == 1) {
            return refuse(Rule::Previous, previous.offset);
        }
        Ok(Self {
            definition,
            device,
            station,
            sequence,
            previous: previous.value,
            signed_at: reader.any_uint()?,
            report: read_report(reader)?,
        })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.array(7);
        writer.bytes(&self.definition);
        writer.uint(self.device);
        writer.uint(self.station);
        writer.uint(self.sequence);
        write_optional(writer, self.previous.as_ref());
        writer.uint(self.signed_at);
        write_report(writer, &self.report);
    }
}

fn read_report(reader: &mut Reader<'_>) -> Result<Report> {
    let head = reader.array()?;
    if head.value == 0 {
        return refuse(Rule::Length, head.offset);
    }
    let number = reader.placed_uint()?;
    let elements = match number.value {
        1 => 4,
        2 => 3,
        3 | 4 => 7,
        5 => 2,
        _ => return refuse(Rule::Report, number.offset),
    };
    if head.value != elements {
        return refuse(Rule::Length, head.offset);
    }
    Ok(match number.value {
        1 => Report::Opening {
            counter: reader.any_uint()?,
            firmware: reader.fixed()?,
            zeros: read_ascending(reader, 0, read_zero)?,
        },
        2 => Report::Turnout { as_of: reader.any_uint()?, figures: read_ascending(reader, 1, read_figure)? },
        3 => Report::Result {
            closed_at: reader.any_uint()?,
            origin: reader.uint(1..=4)?,
            counter: reader.any_uint()?,
            figures: read_ascending(reader, 0, read_figure)?,
            counts: read_ascending(reader, 1, read_count)?,
            attachments: reader.list(0, MAX_ATTACHMENTS, read_attachment)?,
        },
        4 => Report::Protocol {
            closed_at: reader.any_uint()?,
            corrects: reader.optional_hash()?.value,
            cause: reader.uint(0..=4)?,
            figures: read_ascending(reader, 0, read_figure)?,
            counts: read_ascending(reader, 1, read_count)?,
            attachments: reader.list(0, MAX_ATTACHMENTS, read_attachment)?,
        },
        _ => Report::Documents { attachments: reader.list(1, MAX_ATTACHMENTS, read_attachment)? },
    })
}

/// A list whose elements begin with a key that ascends strictly; each key is judged as soon as it is read.
fn read_ascending<T>(
    reader: &mut Reader<'_>,
    least: u64,
    element: impl Fn(&mut Reader<'_>, Option<u64>) -> Result<(u64, T)>,
) -> Result<Vec<T>> {
    let mut last = None;
    reader.list(least, MAX_INTEGER, |reader| {
        let (key, item) = element(reader, last)?;
        last = Some(key);
        Ok(item)
    })
}

fn read_key(reader: &mut Reader<'_>, least: u64, last: Option<u64>) -> Result<u64> {
    let key = reader.placed_uint()?;
    if key.value < least {
        return refuse(Rule::Range, key.offset);
    }
    if last.is_some_and(|last| key.value <= last) {
        return refuse(Rule::Order, key.offset);
    }
    Ok(key.value)
}

fn read_zero(reader: &mut Reader<'_>, last: Option<u64>) -> Result<(u64, Zero)> {
    reader.tuple(2)?;
    let contest = read_key(reader, 1, last)?;
    Ok((contest, Zero { contest, votes: reader.list(1, MAX_INTEGER, Reader::any_uint)? }))
}

fn read_figure(reader: &mut Reader<'_>, last: Option<u64>) -> Result<(u64, Figure)> {
    reader.tuple(2)?;
    let code = read_key(reader, 0, last)?;
    Ok((code, Figure { code, value: reader.any_uint()? }))
}

fn read_count(reader: &mut Reader<'_>, last: Option<u64>) -> Result<(u64, Count)> {
    reader.tuple(3)?;
    let contest = read_key(reader, 1, last)?;
    let figures = read_ascending(reader, 1, read_figure)?;
    Ok((contest, Count { contest, figures, votes: reader.list(1, MAX_INTEGER, Reader::any_uint)? }))
}

fn read_attachment(reader: &mut Reader<'_>) -> Result<Attachment> {
    reader.tuple(5)?;
    Ok(Attachment {
        sha256: reader.fixed()?,
        media: reader.uint(1..=4)?,
        size: reader.uint(1..=MAX_ATTACHMENT)?,
        document: reader.uint(1..=6)?,
        page: reader.any_uint()?,
    })
}

pub(super) fn write_optional(writer: &mut Writer, hash: Option<&Hash>) {
    writer.bytes(hash.map_or(&[], |hash| hash.as_slice()));
}

fn write_report(writer: &mut Writer, report: &Report) {
    match report {
        Report::Opening { counter, firmware, zeros } => {
            writer.array(4);
            writer.uint(report.number());
            writer.uint(*counter);
            writer.bytes(firmware);
            writer.list(zeros, |writer, zero| {
                writer.array(2);
                writer.uint(zero.contest);
                writer.list(&zero.votes, |writer, votes| writer.uint(*votes));
            });
        }
        Report::Turnout { as_of, figures } => {
            writer.array(3);
            writer.uint(report.number());
            writer.uint(*as_of);
            write_figures(writer, figures);
        }
        Report::Result { closed_at, origin, counter, figures, counts, attachments } => {
            writer.array(7);
            writer.uint(report.number());
            writer.uint(*closed_at);
            writer.uint(*origin);
            writer.uint(*counter);
            write_counted(writer, figures, counts, attachments);
        }
        Report::Protocol { closed_at, corrects, cause, figures, counts, attachments } => {
            writer.array(7);
            writer.uint(report.number());
            writer.uint(*closed_at);
            write_optional(writer, corrects.as_ref());
            writer.uint(*cause);
            write_counted(writer, figures, counts, attachments);
        }
        Report::Documents { attachments } => {
            writer.array(2);
            writer.uint(report.number());
            writer.list(attachments, write_attachment);
        }
    }
}

fn write_counted(writer: &mut Writer, figures: &[Figure], counts: &[Count], attachments: &[Attachment]) {
    write_figures(writer, figures);
    writer.list(counts, |writer, count| {
        writer.array(3);
        writer.uint(count.contest);
        write_figures(writer, &count.figures);
        writer.list(&count.votes, |writer, votes| writer.uint(*votes));
    });
    writer.list(attachments, write_attachment);
}

fn write_figures(writer: &mut Writer, figures: &[Figure]) {
    writer.list(figures, |writer, figure| {
        writer.array(2);
        writer.uint(figure.code);
        writer.uint(figure.value);
    });
}

fn write_attachment(writer: &mut Writer, attachment: &Attachment) {
    writer.array(5);
    writer.bytes(&attachment.sha256);
    writer.uint(attachment.media);
    writer.uint(attachment.size);
    writer.uint(attachment.document);
    writer.uint(attachment.page);
}
