package log

// PartitionForKey returns the partition that Kafka's default partitioner gives
// to a record with these key bytes: murmur2 with its fixed seed, the sign bit
// cleared, modulo n (Apache Kafka, BuiltInPartitioner.partitionForKey).
func PartitionForKey(key []byte, n int) int {
	return int(murmur2(key)&0x7fffffff) % n
}

func murmur2(data []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
