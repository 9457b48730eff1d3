// Package longtext makes what a program or a model has written fit for WeChat: [Split] parts a long text into
// messages, [FromMarkdown] makes Markdown readable where only links are understood, and
// [WithoutThinking] removes what a model has thought.
//
// All of it is pure: no I/O, no state but that of a [ThinkFilter], and time that grows with the text only.
package longtext
