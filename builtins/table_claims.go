// This file defines the table's rows for claims, windows and bounds.

package builtins

import "starfall/interp/plan"

func claimWords() []Word {
	claim := Param{Name: "claim", Type: TypeClaim, Required: true, Help: "subject . measure . window . bound"}
	why := Param{Name: "why", Type: TypeText, Default: "", Help: "the reason, shown with the verdict"}
	claims := []Param{{Name: "claims", Type: TypeClaim, Star: true, Required: true, Help: "two or more claims"}}
	return []Word{
		{
			Name: "expect", Kind: Function, Family: Claims, Position: 1, Returns: TypeNone, run: judged(plan.Expect),
			Params: []Param{
				claim,
				{Name: "id", Type: TypeName, Help: "a short name for reports"},
				{Name: "points", Type: TypeInt, Default: 0, In: between(0, 1_000_000), Help: "what it is worth in a course"},
				{Name: "hint", Type: TypeText, Default: "", Help: "shown when it is broken"},
				why,
			},
			Help: "A claim that is judged: broken, the verdict is FAIL.", Example: `expect(billing.missing.none())`,
		},
		{
			Name: "assume", Kind: Function, Family: Claims, Position: 1, Returns: TypeNone, run: judged(plan.Assume),
			Params: []Param{claim, why}, Help: "A claim that guards the experiment: broken, the verdict is INCONCLUSIVE.",
			Example: `assume(shop.rate.before(outage).per("5s").never_below(900))`,
		},
		{
			Name: "rule", Kind: Function, Family: Claims, Position: 1, Returns: TypeNone, run: judged(plan.Rule),
			Params: []Param{claim, why}, Help: "A claim that guards against cheating: broken, the run is VOID.",
			Example: `rule(orders.in_sync.at("10s").at_least(3), why = "the topic must have three replicas")`,
		},
		{
			Name: "report", Kind: Function, Family: Claims, Position: 1, Returns: TypeNone, run: runReport,
			Params: []Param{{Name: "measure", Type: TypeMeasure, Required: true, Help: "subject . measure . window, without a bound"}},
			Help:   "Tabulates a measure without judging it.", Example: `report(shop.stall)`,
		},
		{
			Name: "no", Kind: Function, Family: Claims, Position: 1, Returns: TypeClaim, run: runNo,
			Params: []Param{claim}, Help: "Holds where the claim is broken.", Example: `expect(no(shop.rate.never_below(800)))`,
		},
		{
			Name: "both", Kind: Function, Family: Claims, Position: 1, Returns: TypeClaim, run: combined(plan.OpBoth),
			Params: claims, Help: "Holds where every one of its claims holds.", Example: `expect(both(billing.missing.none(), billing.duplicates.none()))`,
		},
		{
			Name: "either", Kind: Function, Family: Claims, Position: 1, Returns: TypeClaim, run: combined(plan.OpEither),
			Params: claims, Help: "Holds where at least one of its claims holds.", Example: `expect(either(shop.failed.none(), shop.unknown.none()))`,
		},
	}
}

func windowWords() []Word {
	stat := func(name, help string) Word {
		return Word{On: "measure", Name: name, Kind: Attribute, Family: Windows, Returns: TypeMeasure, value: statistic(name), Help: help}
	}
	moment := Param{Name: "moment", Type: TypeMoment, Required: true, Help: "a duration after the start of load, an instant, or an event's handle"}
	return []Word{
		{On: "measure", Name: "before", Kind: Function, Family: Windows, Position: 1, Returns: TypeMeasure, run: runBefore, Params: []Param{moment},
			Help: "Only what is before a moment; of a handle, before its start.", Example: `shop.rate.before(outage)`},
		{On: "measure", Name: "after", Kind: Function, Family: Windows, Position: 1, Returns: TypeMeasure, run: runAfter, Params: []Param{moment},
			Help: "Only what is after a moment; of a handle, after its end.", Example: `shop.rate.after(outage)`},
		{On: "measure", Name: "during", Kind: Function, Family: Windows, Position: 2, Returns: TypeMeasure, run: runDuring,
			Params: []Param{
				{Name: "a", Type: TypeMoment, Required: true, Help: "an event's handle, or the moment at which the window begins"},
				{Name: "b", Type: TypeInstant, Help: "the moment at which it ends; not with a handle"},
			},
			Help: "Only what is between the start and the end of an event, or between two moments. Two moments may reach into the warm-up.", Example: `shop.stall.during(outage)`},
		{On: "measure", Name: "outside", Kind: Function, Family: Windows, Position: 1, Returns: TypeMeasure, run: runOutside,
			Params: []Param{{Name: "handle", Type: TypeEvent, Required: true, Help: "the event to leave out"}},
			Help:   "Only what is not during an event.", Example: `shop.rate.outside(outage)`},
		{On: "measure", Name: "at", Kind: Function, Family: Windows, Position: 1, Returns: TypeMeasure, run: runMeasureAt,
			Params: []Param{{Name: "when", Type: TypeInstant, Required: true, Help: "a duration after the start of load, or an instant"}},
			Help:   "The last whole bucket or sample before a moment; of fates, what was due or done by then. It may reach into the warm-up.", Example: `billing.missing.at("2m55s")`},
		{On: "measure", Name: "at_end", Kind: Function, Family: Windows, Returns: TypeMeasure, run: runAtEnd,
			Help: "The last sample before run_for; of fates, after the audit.", Example: `kafka.under_replicated.at_end()`},
		{On: "measure", Name: "by", Kind: Function, Family: Windows, Position: 1, Returns: TypeMeasure, run: runBy,
			Params: []Param{{Name: "what", Type: TypeString, Required: true, Help: "partition, key, member or all, as far as the measure knows them"}},
			Help:   "Applies the bound to each partition, key or member, or to all of them as one.", Example: `billing.out_of_order.by("key")`},
		{On: "measure", Name: "per", Kind: Function, Family: Windows, Position: 1, Returns: TypeMeasure, run: runPer,
			Params: []Param{{Name: "bucket", Type: TypeDuration, Required: true, Help: "length of a bucket, in whole seconds"}},
			Help:   "Counts in longer buckets than a second.", Example: `shop.rate.per("5s")`},
		stat("p50", "The median."), stat("p90", "What 90 % stay within."), stat("p99", "What 99 % stay within."),
		stat("p999", "What 99.9 % stay within."), stat("max", "The longest."),
	}
}

func boundWords() []Word {
	bound := func(op plan.BoundOp, help, example string, ps ...Param) Word {
		return Word{On: "measure", Name: string(op), Kind: Function, Family: Bounds, Position: len(ps), Returns: TypeClaim,
			run: bounded(op), Params: ps, Help: help, Example: example}
	}
	value := Param{Name: "value", Type: TypeBound, Required: true, Help: "in the measure's unit: a number, a duration or a size"}
	return []Word{
		bound(plan.NeverBelow, "Holds when every bucket, sample and series is at least value.", `shop.rate.never_below(800)`, value),
		bound(plan.NeverAbove, "Holds when every bucket, sample and series is at most value.", `shop.latency.p99.never_above("2s")`, value),
		bound(plan.AtLeast, "Holds when the one number that the measure comes to is at least value; of a gauge, every sample.", `shop.rate.at_least(900)`, value),
		bound(plan.AtMost, "Holds when the one number that the measure comes to is at most value; of a gauge, every sample.", `shop.stall.at_most("5s")`, value),
		bound(plan.Equals, "Holds when the measure is exactly value; of a gauge, at every sample.", `orders.partitions.at_end().equals(6)`, value),
		bound(plan.None, "The same as equals(0).", `billing.missing.none()`),
		bound(plan.Balanced, "Holds when each series, such as each member, has the same value.", `billing.assignment.after("50s").balanced(each = 3)`,
			Param{Name: "each", Type: TypeBound, Required: true, Help: "what each series has"}),
		{On: "measure", Name: string(plan.Eventually), Kind: Function, Family: Bounds, Returns: TypeClaim, run: runEventually,
			Params: []Param{
				{Name: "at_least", Type: TypeBound, Required: true, Help: "what must be reached"},
				{Name: "within", Type: TypeDuration, Required: true, Help: "how long after the window begins"},
			},
			Help: "Holds when the measure reaches a value in time.", Example: `shop.rate.after(outage).eventually(at_least = 900, within = "10s")`},
	}
}
