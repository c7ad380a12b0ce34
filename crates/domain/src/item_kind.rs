use crate::words::words;

words! {
    /// What an item is.
    ItemKind, "a kind of item" {
        /// Starts a thread, and has a title.
        Post = "post",
        /// Answers a post or another comment.
        Comment = "comment",
    }
}
