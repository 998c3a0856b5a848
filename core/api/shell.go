package api

// MaxTerminal is the largest number of columns and rows that a terminal may have.
const MaxTerminal = 10_000

// ShellMessage is a text message of the WebSocket of a shell; one field is set.
// What is typed and what is shown are binary messages.
type ShellMessage struct {
	// Resize is sent by the client when its terminal has changed.
	Resize *TerminalSize `json:"resize,omitempty"`
	// Exit is the exit code of the shell, in the last message of the server.
	Exit *int `json:"exit,omitempty"`
}

// TerminalSize is the size of a terminal, each from 1 to 10,000.
type TerminalSize struct {
	Columns int `json:"columns"`
	Rows    int `json:"rows"`
}

// Valid reports whether a terminal may have that size.
func (s TerminalSize) Valid() bool {
	return 1 <= s.Columns && s.Columns <= MaxTerminal && 1 <= s.Rows && s.Rows <= MaxTerminal
}
