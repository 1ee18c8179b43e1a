//! What goes out on paper and in files: printed sheets and workbooks of the same documents that the API serves.
//!
//! Nothing is computed here. A report writes down the fields of a shape, each figure with the text and the value
//! that the API gives, and a key by which the outputs can be compared.

pub mod html;
pub mod project;
pub mod region;
