"""Lists of English words that the rules look up."""

from __future__ import annotations

from intona.text.symbols import words

# Words that begin a sentence rather than continue a name: "the U.S. He left", but "the U.S. Army".
STARTERS = words(
    """
    A After Again All Also Although An And Another Any Are As At Because Before Both But By Can Could
    Did Do Does During Each Even Every Everyone Everything Finally First For From Had Has Have He Her
    Here His How However I I'd I'll I'm I've If In Instead Is It It's Its Just Last Later Let Let's Like
    Many Maybe Meanwhile More Most Much My Next No Nobody None Not Nothing Now Of On Once One Only Or
    Other Others Our Perhaps Please Second She She's Should Since So Some Someone Something Soon Still
    Such Suddenly That That's The Their Then There There's Therefore These They They're This Those
    Though Through Thus To Today Together Tomorrow Tonight Two Under Until Up Upon Was We We're Well
    Were What When Where Which While Who Whose Why Will With Without Would Yes Yesterday Yet You You're
    Your
    """
)
# "plan B. The": a letter after one of these is a label, not an initial.
LETTERED = words(
    """
    and appendix area block case category class exhibit figure gate grade group hepatitis letter level
    model option part plan platform point row seat section side table team than type version vitamin
    zone
    """
)
# What may follow "p.m." within a sentence.
TIME_WORDS = words(
    """
    April August BST CDT Central CET CST December Eastern EDT EST February Friday Fridays GMT January
    July June London March May MDT Monday Mondays Moscow Mountain MST November October Pacific PDT PST
    Saturday Saturdays September Sunday Sundays Thursday Thursdays Tuesday Tuesdays UTC Wednesday
    Wednesdays
    """
)
# "Chapter IV", "World War I": a Roman numeral after one of these is a cardinal.
HEADINGS = words(
    """
    act apollo appendix army art. article book bowl canto category ch. chapter class corps division
    episode fantasy fig. figure games group lecture lesson level mark no. number olympiad page part
    phase psalm rocky round scene season sec. section sonata stage symphony table tier title type unit
    vol. volume war
    """
)
# "Henry VIII", "John Smith Jr. III": a Roman numeral after one of these is an ordinal.
RULERS = words(
    """
    Ahmed Albert Alexander Alfonso Amenhotep Anne Artaxerxes Arthur Baldwin Benedict Boniface Boris
    Carlos Casimir Catherine Celestine Charles Christian Clement Cleopatra Constantine Cyrus Daniel
    Darius David Davis Donald Edward Elizabeth Emmanuel Eric Erik Felipe Ferdinand Francis Frank Franz
    Frederick Friedrich George Gregory Gustav Gustavus Haakon Harald Harry Henry Howard Hugh Innocent
    Isabella Ivan James John Joseph Jr. Juan Juliana Julius junior Justinian Kenneth Ladislaus Leo
    Leopold Louis Malcolm Manuel Margaret Mary Maximilian Mehmed Michael Murad Napoleon Nicholas Olaf
    Olav Otto Paul Pedro Pepin Peter Philip Pius Ptolemy Rainier Ralph Ramesses Ramses Richard Robert
    Rockefeller Roger Rudolf Samuel Selim Seti Sigismund Sixtus Stephen Suleiman Theodosius Thomas
    Thutmose Tiberius Umberto Urban Victor Vittorio Walter Wilhelm Wilhelmina William Xerxes
    """
)
# Acronyms pronounced as words, whatever their letters.
WORD_ACRONYMS = words(
    """
    ACID AIDS AJAX ASCII ASEAN AWOL BASIC BIOS BREXIT CAPTCHA COVID CUDA DARPA DOS ERASMUS FEMA FIFA
    FOMO FORTRAN GATT GIF HAMAS HIPAA IELTS IKEA INTERPOL JPEG JSON LAN LASER LEGO MERS MIDI MOMA NAFTA
    NASA NASDAQ NATO NIMBY NIST NOAA NORAD OK OPEC OSHA OXFAM PIN POTUS RADAR RAID RAM ROM SALT SARS
    SCOTUS SCUBA SIM SOAP SOHO SONAR SQUID SWAT SWIFT TED TOEFL UEFA UNESCO UNICEF UNIX WAN WASP WIMAX
    YAML YOLO ZIP
    """
)
# Short English words that capitals only stress: "I am NOT going".
ORDINARY = words(
    """
    AH AHA ALL AND ANY ARE ARM ART AS ASK AT ATE BAD BAG BAR BAT BE BED BIG BOX BOY BRR BUT BUY BY CAN
    CAR CAT COW CRY CUP CUT DAD DAY DID DIE DO DOG DR EAT EGG END EYE FAR FAT FEW FIT FIX FLY FOR FOX
    FUN GAS GET GO GOD GOT GRR GUN HA HAD HAS HAT HE HER HEY HI HIM HIS HIT HMM HOT HOW ICE IF IN IS ITS
    JOB KEEP KEY KID LAW LEG LET LIE LIP LOT LOW MAD MAN MAP MAY ME MEN MIX MOM MR MRS MS MUM MY NAH NAY
    NET NEW NO NOR NOT NOW OF OFF OH OIL OK OLD ON ONE OR OUR OUT OWN PAY PEN PET PFFT PIG POT PSST PUT
    RAN RAT RED RUN SAD SAW SAY SEA SEE SET SHE SHH SIT SIX SKY SO SON ST SUN TAX TEA TEN THE TO TOO TOP
    TOY TRY TWO UGH UP USE VS WAR WAS WAY WE WET WHY WIN WON WOW YEA YES YET YO YOU
    """
)
# Acronyms that are spelled though they look like words.
SPELLED = words(
    """
    AA AAA AARP ABC AC AD AI AMD AOL API APR ASAP ATM AU AUD BA BBC BMI CEO CFO CIA CIO COO CTO DIY DUI
    ECG EEG EKG EOF EQ ER ESPN ETA EU EUR FAO FAQ FBI GED GEO GOP HIV IBM ICU ID IDE IMF IO IOS IP IPO IQ
    IRA IRS ISBN ISO IT IUCN IV LA LED MBA MIA MIT MRI MTV NBA NCAA NGO NYC NYU OCR OECD OS PA RSVP SAT
    SUV TV UAE UAV UCLA UFC UFO UI UK UN URL US USA USAF USB USD USDA USSR UTC UV UX VAT VIP WHO WTO
    YMCA
    """
)
# Acronyms that are words too when they stand among other words in capitals: "TELL US NOW".
AMBIGUOUS = words(
    """
    AM IT LA US WHO
    """
)
# What may follow "a 5 km" without making it an adjective: "a 5 km and", not "a 5 km run".
NOT_NOUNS = words(
    """
    after and are as at away because before but by each every for from had has have he if in into is it
    less more not of off on or over per she so than that they to under was we were when which while who
    will with would you
    """
)
# Words in -s that count nothing: "2020 was".
NO_PLURALS = words(
    """
    across afterwards always as besides does goes has hers his its less means minus nevertheless news
    ours perhaps plus previous says sees series sometimes theirs this thus towards unless various versus
    was yes yours
    """
)
