package usage

// counts are counts by what they are of. Most calls come in series, so the latest one that was
// asked for is looked at before the map.
type counts[K comparable, C any] struct {
	all    map[K]*C
	key    K
	latest *C // of that key; nil: none was asked for
}

func newCounts[K comparable, C any]() counts[K, C] { return counts[K, C]{all: map[K]*C{}} }

// find is the count for a key; nil: there is none yet.
func (c *counts[K, C]) find(key K) *C {
	if c.latest != nil && c.key == key {
		return c.latest
	}
	count := c.all[key]
	if count != nil {
		c.key, c.latest = key, count
	}
	return count
}

// findOrAdd is the count for a key, which begins at zero.
func (c *counts[K, C]) findOrAdd(key K) *C {
	count := c.find(key)
	if count == nil {
		count = new(C)
		c.all[key], c.key, c.latest = count, key, count
	}
	return count
}
