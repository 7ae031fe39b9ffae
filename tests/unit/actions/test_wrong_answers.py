"""Wrong answers are told with the case's name, what was asked and what the right answer is."""

from kolm.actions.compiling import wrong_answers
from kolm.capture import documents
from tests.support.pictures import capture


def test_a_wrong_answer_is_told_with_its_question_and_reference() -> None:
    sealed = [
        documents.seal(capture(n, prompt=f"what is {n}?", response=f"thing {n}"), where="case")
        for n in range(3)
    ]
    cases = b"".join(one.data + b"\n" for one in sorted(sealed, key=lambda one: one.id))
    outputs = {
        sealed[0].id: ("thing 0", "1"),
        sealed[1].id: ("a thing", "0"),
        sealed[2].id: ("2", "0.5"),
    }
    predictions = [
        {"case": case, "adapter": {"output": output, "score": score}}
        for case, (output, score) in outputs.items()
    ]
    found = wrong_answers(cases, predictions, {sealed[1].id: "pairs.jsonl:2"})
    assert sorted(found, key=lambda one: one["prompt"]) == [
        {
            "case": sealed[1].id,
            "name": "pairs.jsonl:2",
            "prompt": "what is 1?",
            "reference": "thing 1",
            "output": "a thing",
        },
        {
            "case": sealed[2].id,
            "name": "",
            "prompt": "what is 2?",
            "reference": "thing 2",
            "output": "2",
        },
    ]
