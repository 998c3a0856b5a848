package draw

// Motion is where to go in a list or a text.
type Motion int

// The motions. Up and Down move by one line.
const (
	Up Motion = iota
	Down
	PageUp
	PageDown
	ToTop
	ToBottom
)

// Motions are the keys that move in every list.
var Motions = map[string]Motion{"up": Up, "down": Down, "pgup": PageUp, "pgdown": PageDown}

// Cursor is a position in a list of Count rows, of which Height are visible from
// Top on.
type Cursor struct{ At, Top, Count, Height int }

// Resize keeps the cursor inside the list and visible.
func (c *Cursor) Resize(count, height int) {
	c.Count, c.Height = count, max(1, height)
	c.Put(c.At)
}

// Put moves the cursor to a row.
func (c *Cursor) Put(at int) {
	c.At = max(0, min(at, c.Count-1))
	c.Top = max(0, min(c.Top, c.At, c.Count-c.Height))
	if c.At >= c.Top+c.Height {
		c.Top = c.At - c.Height + 1
	}
}

// Move moves the cursor.
func (c *Cursor) Move(to Motion) {
	c.Put(map[Motion]int{Up: c.At - 1, Down: c.At + 1, PageUp: c.At - c.Height, PageDown: c.At + c.Height,
		ToTop: 0, ToBottom: c.Count - 1}[to])
}

// Visible is the range of visible rows.
func (c *Cursor) Visible() (from, to int) { return c.Top, min(c.Count, c.Top+c.Height) }
