// Package background tells lipgloss that the terminal is dark before Bubble Tea's
// init asks it. Otherwise lipgloss would query the terminal and wait up to 5 s for
// an answer, in every command of the binary, --help included. Packages without an order between them are initialised in
// the order of their paths: "daemon-proxy/…" comes before "github.com/…".
package background

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
