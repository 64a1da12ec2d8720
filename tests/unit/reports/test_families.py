"""Arms by family."""

from sizewise.reports import families


def test_arms_are_of_the_first_family_that_they_fit(params):
    found = families.families(params.arms)
    assert list(found) == list(families.FAMILIES)
    assert {"cash", "buy_and_hold"} <= set(found["no skill"])
    assert {"atr", "atr_managed", "kelly"} <= set(found["rules"])
    assert {"ppo", "ppo_entry", "ppo_ensemble", "direct"} == set(found["policies by gradient"])
    every = [arm for members in found.values() for arm in members]
    assert len(every) == len(set(every))
    assert set(params.arms) - set(every) == {"oracle_hindsight"}
    assert list(families.families({"atr": params.arms["atr"]})) == ["rules"]
