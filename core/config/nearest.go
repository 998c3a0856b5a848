package config

// nearest is the full key that was probably meant by name in section, or the
// section if that is empty; "" if nothing is near. A key of the same name in
// another section, or the name of a key at the top, counts as near.
func nearest(keys []key, section, name string) string {
	if len(name) > 64 {
		return ""
	}
	best, least := "", 2+len(name)/5 // of a long name more letters may be wrong
	offer := func(candidate string, distance int) {
		if distance < least {
			best, least = candidate, distance
		}
	}
	if section == "" {
		for _, s := range sections(keys) {
			offer(s, editDistance(name, s))
		}
	}
	for _, k := range keys {
		distance := editDistance(name, k.name())
		if k.section() != section {
			distance++
		}
		offer(k.Path, distance)
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that make a into b (optimal string alignment).
func editDistance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
