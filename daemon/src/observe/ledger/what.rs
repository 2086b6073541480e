//! What a call is about. All that is kept of a call shares it, and so do the calls of a tool.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use toolgate_protocol::method::Method;

/// What is asked for, of whom.
#[derive(Debug, Default)]
pub struct What {
    /// The server, where it is one.
    pub server: Option<Arc<str>>,
    /// The method, where it is one that the gate knows.
    pub known: Option<Method>,
    /// The method as it was written, as much of it as is kept.
    pub method: Cow<'static, str>,
    /// The tool, prompt or resource, as much of it as is kept.
    pub name: Box<str>,
}

impl What {
    /// Nothing that is known.
    pub fn nothing() -> Arc<Self> {
        static NOTHING: LazyLock<Arc<What>> = LazyLock::new(Arc::default);
        Arc::clone(&NOTHING)
    }

    /// The tool that is called.
    pub fn tool(&self) -> Option<&str> {
        (self.known == Some(Method::ToolsCall)).then_some(&*self.name)
    }

    /// Bytes of its texts.
    pub fn texts(&self) -> usize {
        let method = if let Cow::Owned(method) = &self.method { method.len() } else { 0 };
        self.name.len() + method
    }
}
