"""English text as it is read aloud: one table over the kinds of numbers, dates, signs and abbreviations."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intona.errors import UserError
from intona.text import Frontend, FrontendConfig
from intona.text.languages.english.verbalize import verbalize
from intona.text.normalize import joined, normalize

MINUS, EN_DASH = "\u2212", "\u2013"

SIGNS = [
    (f"At night {MINUS}5 °C is normal.", "At night minus five degrees Celsius is normal."),
    ("It was -5 °C outside.", "It was minus five degrees Celsius outside."),
    (f"It fell to {EN_DASH}40 °F.", "It fell to minus forty degrees Fahrenheit."),
    ("The shares lost -3.5%.", "The shares lost minus three point five percent."),
    (f"between ({MINUS}3) and +4", "between, minus three, and plus four"),
    ("a debt of -$20", "a debt of minus twenty dollars"),
    (f"5 {MINUS} 3 = 2", "five minus three equals two"),
    (f"walk 5{EN_DASH}10 km", "walk five to ten kilometers"),
    ("rows 5-10", "rows five to ten"),
    (f"They won 3{EN_DASH}2.", "They won three to two."),
    ("He left\u20145 people stayed.", "He left — five people stayed."),
    ("Add ½ cup of milk.", "Add one half cup of milk."),
    ("2½ hours and ¼ inch", "two and a half hours and one quarter inch"),
    ("⅔ of the vote", "two thirds of the vote"),
    ("√2 ≈ 1.41", "square root of two approximately one point four one"),
    ("5 ± 0.2 mm", "five plus or minus zero point two millimeters"),
    ("x² + y³", "x squared plus y cubed"),
    ("E = mc²", "E equals mc squared"),
    ("x ≥ 3 and y ≠ 0", "x is greater than or equal to three and y is not equal to zero"),
    ("π is about 3.14", "pi is about three point one four"),
    ("10⁶ cells", "ten to the power of six cells"),
    ("salt & pepper", "salt and pepper"),
    ("Track #1", "Track number one"),
    ("ask @user", "ask at user"),
    ("a temperature of 100°", "a temperature of one hundred degrees"),
    ("50% off", "fifty percent off"),
    ("either/or and and/or", "either or and and or"),
    ("x > 3 but y < 5", "x is greater than three but y is less than five"),
    ("~20 people", "about twenty people"),
    ("C++ and C#", "C plus plus and C sharp"),
    (f"between {MINUS}10 and {MINUS}5", "between minus ten and minus five"),
]
FRACTIONS = [
    ("3/4 cup of sugar", "three quarters cup of sugar"),
    ("about 1/2 of them", "about one half of them"),
    ("2 1/2 miles", "two and a half miles"),
    ("12/25 of the class", "twelve twenty-fifths of the class"),
    ("1/100 of a second", "one hundredth of a second"),
    ("open 24/7", "open twenty-four seven"),
    ("after 9/11", "after nine eleven"),
    ("a 50/50 chance", "a fifty fifty chance"),
    ("a ratio of 1:10", "a ratio of one to ten"),
    ("diluted 1:1", "diluted one to one"),
    ("a 16:9 screen", "a sixteen to nine screen"),
    ("6/2 = 3", "six divided by two equals three"),
    ("8.5/10", "eight point five out of ten"),
    ("a 1/4-mile race", "a one quarter mile race"),
]
NUMBERS = [
    ("1,250,000 people", "one million two hundred fifty thousand people"),
    ("10 000 steps", "ten thousand steps"),
    ("0.5 or .5", "zero point five or point five"),
    ("agent 007", "agent zero zero seven"),
    ("card 4000123412341234", f"card four zero zero zero {' '.join(['one two three four'] * 3)}"),
    ("the 2nd and the 101st", "the second and the one hundred first"),
    ("a 5-year-old boy", "a five year old boy"),
    ("a 10-kilometer run", "a ten kilometer run"),
    ("3 x 4 = 12", "three times four equals twelve"),
    ("a 3 x 4 grid", "a three by four grid"),
    ("1920x1080", "nineteen twenty by ten eighty"),
    ("twice, 2x faster", "twice, two times faster"),
    ("COVID-19 and F-16", "COVID nineteen and F sixteen"),
    ("the $5 bill's No. 5 and no. 12", "the five dollar bill's number five and number twelve"),
    ("Dial 911.", "Dial nine one one."),
    ("Room 101", "Room one oh one"),
    ("1984 people", "one thousand nine hundred eighty-four people"),
    ("1.000.000 and 1,00,000", "one million and one hundred thousand"),
    ("1.2M users", "one point two million users"),
    ("hundreds or 100s of them", "hundreds or hundreds of them"),
    ("Beverly Hills, CA 90210", "Beverly Hills, C A nine zero two one zero"),
]  # fmt: skip
UNITS = [
    ("150 g of cheese, 1 kg of rice", "one hundred fifty grams of cheese, one kilogram of rice"),
    ("40 m² and 3 km²", "forty square meters and three square kilometers"),
    ("at 90 km/h", "at ninety kilometers per hour"),
    ("a 60 W bulb used 2.5 kWh", "a sixty watt bulb used two point five kilowatt hours"),
    ("16 GB of memory", "sixteen gigabytes of memory"),
    ("36.6 °C or 98°F", "thirty-six point six degrees Celsius or ninety-eight degrees Fahrenheit"),
    ("8 lb 3 oz", "eight pounds three ounces"),
    ("6 ft tall, 5'10\"", "six feet tall, five foot ten"),
    ("250 ml or 1.5 L", "two hundred fifty milliliters or one point five liters"),
    ("9.8 m/s²", "nine point eight meters per second squared"),
    ("1,000 kg/m³", "one thousand kilograms per cubic meter"),
    ("5 in. of rain in 10 min.", "five inches of rain in ten minutes."),
    ("55 mph, 3 GHz, 20 µm", "fifty-five miles per hour, three gigahertz, twenty micrometers"),
    ("1 ft", "one foot"),
    (f"10{EN_DASH}12 kg", "ten to twelve kilograms"),
    ("distances in km", "distances in kilometers"),
    ("a 5 km run", "a five kilometer run"),
    ("20°C\u201325°C", "twenty degrees Celsius to twenty-five degrees Celsius"),
    ("45°N", "forty-five degrees north"),
    ("10\u207b\u2079 m", "ten to the power of minus nine meters"),
    ("20 l/100 km", "twenty liters per one hundred kilometers"),
    ("5 cm x 10 cm", "five centimeters by ten centimeters"),
    ("It is 5 cm. Then more.", "It is five centimeters. Then more."),
    ("350 W Main Street", "three hundred fifty W Main Street"),
]
ROMAN = [
    ("Henry VIII had six wives.", "Henry the eighth had six wives."),
    ("Henry VIII's wives", "Henry the eighth's wives"),
    ("Louis XIV and Elizabeth II", "Louis the fourteenth and Elizabeth the second"),
    ("Elizabeth I was crowned.", "Elizabeth the first was crowned."),
    ("Pope John XXIII", "Pope John the twenty-third"),
    ("Read Chapter IV.", "Read Chapter four."),
    ("Part III, Act V", "Part three, Act five"),
    ("World War II ended.", "World War two ended."),
    ("After World War I it changed.", "After World War one it changed."),
    ("Super Bowl LVIII", "Super Bowl fifty-eight"),
    ("the XIX century", "the nineteenth century"),
    ("I think Malcolm X and I agree.", "I think Malcolm X and I agree."),
    ("Mix the CD with an MD.", "Mix the C D with an M D."),
    ("vitamin C and plan B", "vitamin C and plan B"),
    ("the part I liked", "the part I liked"),
    ("Sorry John I know, Henry I said.", "Sorry John I know, Henry I said."),
    ("WWII and Rocky IV", "World War two and Rocky four"),
    ("Edward the VII", "Edward the seventh"),
    ("an IV drip", "an I V drip"),
]
ACRONYMS = [
    ("The FBI and the US agree.", "The F B I and the U S agree."),
    ("NASA, UNESCO and NATO", "NASA, UNESCO and NATO"),
    ("the UK, the EU and the USA", "the U K, the E U and the U S A"),
    ("IBM sells AI.", "I B M sells A I."),
    ("Ask IT about it.", "Ask I T about it."),
    ("a USB stick and two CDs", "a U S B stick and two C D's"),
    ("She has a PhD and three TVs.", "She has a P H D and three T V's."),
    ("the FBI's plan", "the F B I's plan"),
    ("AT&T plays R&B.", "A T and T plays R and B."),
    ("the U.S. Government", "the U S Government"),
    ("He lives in the U.S.", "He lives in the U S."),
    ("J. K. Rowling and J.R.R. Tolkien", "J K Rowling and J R R Tolkien"),
    ("George W. Bush", "George W Bush"),
    ("an X-ray and a T-shirt", "an X-ray and a T-shirt"),
    ("an MP3 of H2O and CO2", "an M P three of H two O and C O two"),
    ("I am NOT going. STOP!", "I am NOT going. STOP!"),
    ("THIS IS FOR ALL OF US", "THIS IS FOR ALL OF US"),
    ("a US-led CEO's API", "a U S led C E O's A P I"),
    ("Once Upon A Time", "Once Upon a Time"),
    ("Vitamin A is good.", "Vitamin A is good."),
    ("IEEE and JPEG", "I triple E and jay-peg"),
    ("the non-EU UCLA", "the non E U U C L A"),
    ("'FBI' files", "F B I files"),
]
MONEY = [
    ("$5.3 billion", "five point three billion dollars"),
    ("$1.2M", "one point two million dollars"),
    ("€3.5bn", "three point five billion euros"),
    ("$1,250.50", "one thousand two hundred fifty dollars fifty cents"),
    ("50¢ or $0.99", "fifty cents or ninety-nine cents"),
    ("£5 and £1", "five pounds and one pound"),
    ("$10k", "ten thousand dollars"),
    (f"$5{EN_DASH}10 million", "five to ten million dollars"),
    ("a $3 million deal", "a three million dollar deal"),
    ("20 € and 100 USD", "twenty euros and one hundred U S dollars"),
    ("$5/month", "five dollars per month"),
    ("¥500", "five hundred yen"),
    ("ten €50 notes", "ten fifty euro notes"),
    ("€29,99", "twenty-nine euros ninety-nine cents"),
    ("USD 5 million", "five million U S dollars"),
    ("$3.5M-$4M", "three point five million dollars to four million dollars"),
]
DATES = [
    ("on 2024/10/01", "on October first, twenty twenty-four"),
    ("on 2024-10-01", "on October first, twenty twenty-four"),
    ("on 10/01/2024", "on October first, twenty twenty-four"),
    ("on 25/12/2024", "on December twenty-fifth, twenty twenty-four"),
    ("May 5, 2024", "May fifth, twenty twenty-four"),
    ("on 5 May 2024", "on the fifth of May twenty twenty-four"),
    ("the 21st of June", "the twenty-first of June"),
    ("Jan. 3 and Sept. 4", "January third and September fourth"),
    (f"July 4{EN_DASH}7", "July fourth to seventh"),
    ("the '90s, the 1990s and the 1990's", "the nineties, the nineteen nineties and the nineteen nineties"),
    ("in his mid-40s", "in his mid forties"),
    ("the 2000s", "the two thousands"),
    (f"the war of 1941{EN_DASH}1945", "the war of nineteen forty-one to nineteen forty-five"),
    ("2019-2021", "twenty nineteen to twenty twenty-one"),
    ("in 44 BC and 300 AD", "in forty-four B C and three hundred A D"),
    ("born in 1905, died in 2003", "born in nineteen oh five, died in two thousand three"),
    ("Mon.-Fri.", "Monday to Friday."),
    ("class of '09", "class of oh nine"),
    ("in 1066", "in ten sixty-six"),
    ("the crisis of 2008-09", "the crisis of two thousand eight to oh nine"),
    ("Tue., Mar. 3rd", "Tuesday, March third"),
    ("01.05.2024", "May first, twenty twenty-four"),
]
TIMES = [
    ("at 5:30 pm", "at five thirty P M"),
    ("at 18:30 or 9:05", "at eighteen thirty or nine oh five"),
    ("at 12:00", "at twelve o'clock"),
    ("by 5 p.m. today", "by five P M today"),
    ("He came at 7:00 a.m. She slept.", "He came at seven A M. She slept."),
    ("at 5pm.", "at five P M."),
    (f"9:00 a.m.{EN_DASH}5:00 p.m.", "nine A M to five P M."),
    ("in 2:05:30", "in two oh five thirty"),
    ("10:00 AM-2:00 PM", "ten A M to two P M"),
    ("until 3:20 p.m. Companies met.", "until three twenty P M. Companies met."),
    ("at 7 p.m. EST", "at seven P M E S T"),
    ("0600 hours", "zero six hundred hours"),
]
CONTACTS = [
    ("+1 (555) 123-4567", "plus one, five five five, one two three, four five six seven"),
    ("Call 555-1234.", "Call five five five, one two three four."),
    ("1-800-555-0199", "one, eight zero zero, five five five, zero one nine nine"),
    ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
    ("www.example.com", "W W W dot example dot com"),
    ("https://example.org/docs", "H T T P S colon slash slash example dot org slash docs"),
    ("Write to john.smith@mail.co.uk.", "Write to john dot smith at mail dot C O dot U K."),
    ("Open report.pdf in /usr/bin.", "Open report dot P D F in slash usr slash bin."),
    ("Python 3.11 and v2.0.1", "Python three point eleven and version two point zero point one"),
    ("192.168.0.1", "one hundred ninety-two dot one hundred sixty-eight dot zero dot one"),
    ("a Wi-Fi port 8080", "a Wi-Fi port eight thousand eighty"),
    ("Call 1-800-FLOWERS.", "Call one, eight zero zero, FLOWERS."),
    ("07700 900123", "zero seven seven zero zero, nine zero zero one two three"),
    ("C:\\Users\\me", "C colon backslash Users backslash me"),
    ("see bbc.co.uk/news?id=5.", "see B B C dot C O dot U K slash news question mark I D equals five."),
]
ABBREVIATIONS = [
    ("St. Peter lives on Main St.", "saint Peter lives on Main street."),
    ("at 12 Oak St. in St. Louis", "at twelve Oak street in saint Louis"),
    ("Dr. Smith of Riverside Dr.", "doctor Smith of Riverside drive."),
    ("Go down Fifth Ave. and Sunset Blvd.", "Go down Fifth avenue and Sunset boulevard."),
    ("apples, pears, etc. The rest is gone.", "apples, pears, et cetera. The rest is gone."),
    ("pens, etc. and paper", "pens, et cetera and paper"),
    ("Smith & Co.", "Smith and company."),
    ("Acme Inc. said no. 5 is out.", "Acme incorporated said number five is out."),
    ("He works for Apple Inc. They pay.", "He works for Apple incorporated. They pay."),
    ("No. I don't.", "No. I don't."),
    ("Mr. and Mrs. Brown vs. Ms. Green", "mister and missus Brown versus miz Green"),
    ("fruit, e.g. apples, i.e. food", "fruit, for example apples, that is food"),
    ("Mt. Everest and Ft. Worth", "mount Everest and fort Worth"),
    ("Martin Luther King Jr. spoke.", "Martin Luther King junior spoke."),
    (f"see pp. 10{EN_DASH}12, fig. 3", "see pages ten to twelve, figure three"),
    ("approx. 20 min. later", "approximately twenty minutes later"),
    ("So do I. Then she left.", "So do I. Then she left."),
    ("E. 42nd St.", "east forty-second street."),
    ("Roe v. Wade", "Roe versus Wade"),
    ("Call Dr. Who.", "Call doctor Who."),
    ("She has a Ph.D. in physics.", "She has a P H D in physics."),
    ("w/ milk, w/o sugar", "with milk, without sugar"),
    ("7 days/week", "seven days per week"),
]
KINDS = {
    "signs": SIGNS, "fractions": FRACTIONS, "numbers": NUMBERS, "units": UNITS, "Roman numerals": ROMAN,
    "acronyms": ACRONYMS, "money": MONEY, "dates": DATES, "times": TIMES, "contacts": CONTACTS,
    "abbreviations": ABBREVIATIONS,
}  # fmt: skip
LINES = [
    pytest.param(raw, reading, id=f"{kind}: {raw}") for kind, rows in KINDS.items() for raw, reading in rows
]


@pytest.mark.parametrize(("raw", "reading"), LINES)
def test_reading(raw, reading):
    assert joined(normalize(raw, "en").tokens) == reading


@pytest.mark.parametrize(("raw", "reading"), LINES)
def test_a_reading_is_read_as_it_stands(raw, reading):
    assert joined(normalize(reading, "en").tokens) == reading


@pytest.mark.parametrize("dash", ["-", EN_DASH, "\u2014", MINUS])
def test_a_dash_before_a_digit_is_a_minus_and_between_digits_a_range(dash):
    assert verbalize(f"{dash}5 °C") == "minus five degrees Celsius"
    assert verbalize(f"It was {dash}5 °C.") == "It was minus five degrees Celsius."
    assert verbalize(f"5{dash}10 km").split() == ["five", "to", "ten", "kilometers"]
    assert verbalize(f"{dash}10{dash}{MINUS}5 %").split() == [
        "minus",
        "ten",
        "to",
        "minus",
        "five",
        "percent",
    ]
    assert verbalize(f"7{dash}2=5").split() == ["seven", "minus", "two", "equals", "five"]


@pytest.mark.parametrize("symbol", list("*^~|<>_#@&%+=/\\$€£°±×÷≈√∞≠≤≥★→∑®™"))
def test_a_symbol_is_read_or_left_in_the_text(symbol):
    for text in (f"one {symbol} two", f"one{symbol}two", f"5{symbol}6", f"5 {symbol} 6"):
        spelled = verbalize(text)
        is_fraction = symbol == "/" and "sixths" in spelled
        assert symbol in spelled or is_fraction or len(re.findall(r"\w+", spelled)) > 2, text


# "A" is left out: espeak-ng reads it as the article.
@pytest.mark.parametrize(
    ("letter", "phones"), [("B", "bˈiː"), ("C", "sˈiː"), ("F", "ˈɛf"), ("X", "ˈɛks"), ("Z", "zˈiː")]
)
def test_a_letter_is_called_by_its_name(letter, phones):
    for text in (f"plan {letter}", f"plan {letter} is good", f"the {letter}BC"):
        utterance = ENGLISH([text])[0]
        word = next(w for w in utterance.words if w.text == letter)
        assert "".join(utterance.phonemes[word.start : word.end]) == phones


ENGLISH = Frontend(FrontendConfig(language="en"))
PIECES = [
    "1", "12", "1941", "000", "31", "0", ".", ",", "-", "\u2013", "\u2014", "\u2212", "/", ":", " ", " ",
    "'", '"', "(", ")", "$", "€", "%", "°C", "½", "²", "\u207b\u00b3", "km", "m", "/h", "in", "ft", "p",
    "K", "M", "bn", "million", " to ", "x", "=", "#", "@", "&", "A", "I", "V", "IV", "Henry ",
    "Chapter ", "US", "U.S.", "s", "'s", "Dr.", "St.", "No.", "etc.", "a.m.", " PM", "May", "Jan.", "BC",
    "the ", "a ", ".com", "http://", "a@b.co", "v", "_", "\\", "π", "st", "th", "Call ",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join))
def test_any_mixture_is_read_without_digits_or_refused(text):
    try:
        tokens = normalize(text, "en").tokens
    except UserError:
        return
    assert not any(c.isdigit() for token in tokens for c in token)
