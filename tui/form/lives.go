package form

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
)

// ttlChoice is the lifetime of a link: one of ttlChoices, or a typed one.
type ttlChoice struct {
	at    int // in ttlChoices; len(ttlChoices): the typed one
	typed textinput.Model
}

// ttlChoices are the usual times; 0 is until revoked.
var ttlChoices = [...]time.Duration{0, 15 * time.Minute, time.Hour, 8 * time.Hour, 24 * time.Hour}

func newTTLChoice(d time.Duration) ttlChoice {
	c := ttlChoice{typed: draw.NewInput(12)}
	if c.at = slices.Index(ttlChoices[:], d); c.at < 0 {
		c.at = len(ttlChoices)
		c.typed.SetValue(format.TTL(d))
	}
	return c
}

func (c *ttlChoice) handle(key tea.KeyMsg) {
	switch key.String() {
	case "left":
		c.at = max(0, c.at-1)
	case "right":
		c.at = min(len(ttlChoices), c.at+1)
	case "backspace":
		if c.at == len(ttlChoices) {
			c.typed, _ = c.typed.Update(key)
		}
	default:
		if key.Type == tea.KeyRunes &&
			!slices.ContainsFunc(key.Runes, func(r rune) bool { return !strings.ContainsRune("0123456789smhdw", r) }) {
			c.at = len(ttlChoices)
			c.typed, _ = c.typed.Update(key)
		}
	}
}

// seconds returns the choice for a request.
func (c *ttlChoice) seconds() (int64, error) {
	if c.at < len(ttlChoices) {
		return int64(ttlChoices[c.at] / time.Second), nil
	}
	d, err := parseTime(c.typed.Value())
	return int64(d / time.Second), err
}

// parseTime reads "90m", "1h30m", "2d" or "1w"; a bare number is minutes.
func parseTime(s string) (time.Duration, error) {
	wrong := errors.New("type how long the link is valid: 90m, 1h30m, 2d")
	if s = strings.ToLower(strings.TrimSpace(s)); s == "" {
		return 0, wrong
	}
	units := map[rune]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour,
		'w': 7 * 24 * time.Hour}
	total, number := time.Duration(0), ""
	for _, r := range s + " " {
		unit, known := units[r]
		switch {
		case r >= '0' && r <= '9':
			number += string(r)
			continue
		case r == ' ' && number == "":
			continue
		case r == ' ' && total == 0:
			unit = time.Minute
		case !known || number == "":
			return 0, wrong
		}
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n > int64(math.MaxInt64/2/unit) {
			return 0, wrong
		}
		total, number = total+time.Duration(n)*unit, ""
	}
	if total <= 0 || total > 100*365*24*time.Hour {
		return 0, fmt.Errorf("%s is not a time that a link can live: a second to a hundred years", s)
	}
	return total, nil
}
