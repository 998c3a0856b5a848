// Package background answers, before anybody asks, whether the terminal is
// dark. Bubble Tea asks lipgloss in its init, and lipgloss then asks the
// terminal and waits up to 5 s for an answer, in every command of the binary,
// --help included. Packages without an order between them are initialised in
// the order of their paths: "daemon-proxy/…" comes before "github.com/…".
package background

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
