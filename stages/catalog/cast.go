package catalog

// The accounts of those who appear in every stage.
const (
	AliceAccount   = "HB-1001" // the victim
	BobAccount     = "HB-2001" // whom alice pays
	MalloryAccount = "HB-3001" // the attacker
)
