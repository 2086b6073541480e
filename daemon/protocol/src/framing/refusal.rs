//! Why a message is refused, as a status and a sentence.
//!
//! The machine and the deadlines around it give one; the guard turns it into an answer. The
//! sentence is for whoever wrote the client: it says what to send instead.

use std::error::Error;
use std::fmt;

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal, $code:literal, $sentence:literal;)+) => {
        /// Why a message is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Refusal {
            /// Every refusal there is.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The HTTP status that says it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// A stable word for logs and metrics.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// What is wrong and what to send instead.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }
        }
    };
}

refusals! {
    /// A line ends with LF alone, or a CR stands elsewhere.
    LineEnd = 400, "line-end", "Lines of a request must end with CR LF, and with nothing else.";
    /// More than one empty line before a request.
    BlankLines = 400, "blank-lines", "A request must not be preceded by empty lines.";
    /// Not `METHOD SP target SP HTTP/1.x`.
    RequestLine = 400, "request-line", "The request line must be a method, a target and a version, with one space between.";
    /// A target in a form that is not for this method, or with characters that do not belong there.
    Target = 400, "target", "The request target must be a path, or an http or https URL, without spaces, control characters or a fragment.";
    /// CONNECT.
    Connect = 405, "connect", "This is not a proxy: CONNECT is not served.";
    /// An HTTP version other than 1.0 and 1.1.
    Version = 505, "version", "Speak HTTP/1.1, or HTTP/2 over TLS.";
    /// A header without a name, or with characters that do not belong into a name.
    HeaderName = 400, "header-name", "A header line must be a name, a colon and a value, without a space before the colon.";
    /// A header that goes on in the next line.
    Fold = 400, "fold", "A header must stand on one line.";
    /// A control character in a value.
    HeaderValue = 400, "header-value", "A header's value must not hold control characters.";
    /// No `Host` on HTTP/1.1.
    HostMissing = 400, "host-missing", "Send exactly one Host header.";
    /// More than one `Host`.
    HostRepeated = 400, "host-repeated", "Send exactly one Host header.";
    /// `Host` that is no host and port.
    HostInvalid = 400, "host-invalid", "The Host header must be a name or an address, and a port if need be.";
    /// `Host` and the URL of the request line name different hosts.
    HostConflict = 400, "host-conflict", "The Host header and the request target must name the same host.";
    /// `Content-Length` that is not one decimal number.
    LengthInvalid = 400, "length-invalid", "Content-Length must be one decimal number.";
    /// More than one `Content-Length`.
    LengthRepeated = 400, "length-repeated", "Send Content-Length once.";
    /// Both ways to say where the body ends.
    LengthAndCoding = 400, "length-and-coding", "Send either Content-Length or Transfer-Encoding, not both.";
    /// More than one `Transfer-Encoding`.
    CodingRepeated = 400, "coding-repeated", "Send Transfer-Encoding once.";
    /// A transfer coding that is not `chunked`.
    Coding = 501, "coding", "The only Transfer-Encoding served is chunked.";
    /// `Transfer-Encoding` on HTTP/1.0.
    CodingVersion = 400, "coding-version", "Transfer-Encoding needs HTTP/1.1.";
    /// An expectation other than `100-continue`.
    Expectation = 417, "expectation", "The only expectation served is 100-continue.";
    /// A chunk's line that is not a hexadecimal size, or does not end where it should.
    Chunk = 400, "chunk", "A chunk must be its size in hexadecimal digits, CR LF, the bytes and CR LF.";
    /// Extensions beyond their bound.
    ChunkExtensions = 400, "chunk-extensions", "Leave chunk extensions out.";
    /// Trailers beyond their bound.
    TrailersTooLarge = 431, "trailers-too-large", "Send fewer or shorter trailers.";
    /// A trailer that changes what the message means.
    Trailer = 400, "trailer", "Trailers must not be Host, Content-Length or Transfer-Encoding.";
    /// The request target is longer than allowed.
    TargetTooLong = 414, "target-too-long", "Send a shorter request target.";
    /// The head is longer than allowed.
    HeadTooLarge = 431, "head-too-large", "Send fewer or shorter headers.";
    /// More header lines than allowed.
    TooManyHeaders = 431, "too-many-headers", "Send fewer headers.";
    /// The body is longer than allowed.
    BodyTooLarge = 413, "body-too-large", "Send a smaller body.";
    /// The head did not arrive in time.
    HeadTimeout = 408, "head-timeout", "The request's headers did not arrive in time: send the request again.";
    /// The body did not arrive in time.
    BodyTimeout = 408, "body-timeout", "The request's body did not arrive in time: send the request again.";
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl Error for Refusal {}
