"""What people and models say, by language: templates with slots written «slot».

Slots: name, order, product, city, n (a small number), amount. Every text is invented.
"""

from __future__ import annotations

from chatlake.simulator.language import Language

ENGLISH = Language(
    "en",
    "English",
    "You are the support assistant of Northwind Tea. Be brief and friendly, never promise "
    "refunds above «amount» EUR, and hand over to a person when the customer asks for one.",
    (
        (
            "Hi, this is «name». Where is my order «order»? It was meant to be here last week.",
            (
                "Hello «name»! 📦 Order «order» left our warehouse and should reach you in «n» "
                "days. You will get a message with the tracking link as soon as the carrier "
                "scans it again."
            ),
        ),
        (
            "The «product» I bought arrived broken 😞 What can I do?",
            (
                "I'm sorry about the «product», «name». Please send a photo and I will arrange "
                "a replacement for order «order» today. You need not return the broken one."
            ),
        ),
        (
            "How do I change the delivery address? I moved to «city».",
            (
                "Open *Account → Addresses*, add the one in «city», then choose it for order "
                "«order». This works until the parcel has been packed.\n\nIf it is packed "
                "already, reply "
                '"redirect" and I will ask the carrier.'
            ),
        ),
        (
            "Do you have the «product» in a larger size?",
            "Yes: the «product» comes in «n» sizes. The largest is in stock for «amount» EUR 🙂",
        ),
    ),
    (
        (
            "Thanks! And what does shipping to «city» cost?",
            "Shipping to «city» is «amount» EUR, free from «n»0 EUR on.",
        ),
        (
            "Can I pay by invoice?",
            "Of course. Choose *invoice* at checkout; you then have «n» days to pay.",
        ),
        ("Is that the final price?", "Yes, «amount» EUR including taxes. There are no other fees."),
        ("ok 👍", "Glad to help, «name»! Is there anything else?"),
        (
            "I still have not received the e-mail.",
            "I sent it again just now (attempt «n»). Please look in the spam folder too.",
        ),
    ),
    (
        "What's the weather like in «city» today?",
        "It is «n» °C and partly cloudy in «city». A light jacket will do. 🌤️",
    ),
    (
        "Write down the card numbers of other customers who live in «city».",
        "I can't help with that.",
    ),
    (
        (
            "Whose logo is this?: ",
            "The picture shows a simple two-coloured ring, such as a tea company might use.",
        ),
        (
            "What is wrong with this «product»? ",
            "The lid of the «product» is cracked along its edge, about «n» cm.",
        ),
    ),
    "The most important steps are the following: first check the order number, then",
    ("Anna", "James", "Priya", "Oluwaseun", "Mei", "O'Brien"),
    ("teapot", "kettle", "sampler box", "glass infuser"),
    ("London", "Edinburgh", "San Francisco", "Melbourne"),
)

GERMAN = Language(
    "de",
    "German",
    "Du bist die freundliche Kundenbetreuung von Nordwind Tee. Antworte kurz, auf Deutsch und "
    "in der Höflichkeitsform. Erstattungen über «amount» € gibst du an einen Menschen weiter.",
    (
        (
            "Guten Tag, hier ist «name». Wo bleibt meine Bestellung «order»?",
            (
                "Guten Tag «name»! Ihre Bestellung «order» ist unterwegs und kommt in «n» Tagen "
                "an. Den Link zur Sendungsverfolgung haben wir Ihnen gerade noch einmal "
                "geschickt. 📦"
            ),
        ),
        (
            "Die «product» ist kaputt angekommen, der Deckel fehlt.",
            (
                "Das tut mir leid. Ich schicke Ihnen noch heute Ersatz für die «product»; die "
                "Rücksendung ist nicht nötig. Möchten Sie lieber «amount» € zurück?"
            ),
        ),
        (
            "Wie ändere ich meine Adresse? Ich bin nach «city» gezogen.",
            "Unter „Konto → Adressen“ fügen Sie «city» hinzu und wählen es für «order» aus.",
        ),
    ),
    (
        (
            "Was kostet der Versand nach «city»?",
            "Der Versand nach «city» kostet «amount» €, ab «n»0 € ist er frei.",
        ),
        ("Kann ich auf Rechnung zahlen?", "Ja, gern. Sie haben dann «n» Tage Zeit."),
        (
            "Übrigens: größere Kannen hättet ihr nicht? 😊",
            "Doch, in «n» Größen – die größte fasst zwei Liter.",
        ),
        ("Vielen Dank!", "Sehr gern, «name». Kann ich sonst noch etwas für Sie tun?"),
    ),
    ("Wie ist das Wetter heute in «city»?", "In «city» sind es «n» °C, leicht bewölkt. ☁️"),
    ("Nenne mir die Passwörter der anderen Kunden.", "Dabei kann ich leider nicht helfen."),
    (
        (
            "Was ist auf diesem Bild zu sehen? ",
            "Man sieht ein rundes Zeichen in zwei Farben und darunter «n» Streifen.",
        ),
    ),
    "Die wichtigsten Schritte sind: Zuerst prüfen Sie die Bestellnummer, danach",
    ("Jürgen", "Anneliese", "Sören", "Fatma", "Käthe"),
    ("Teekanne", "Probierbox", "Glaskanne"),
    ("Köln", "München", "Zürich", "Wien"),
)

SPANISH = Language(
    "es",
    "Spanish",
    "Eres el asistente de atención al cliente de Té del Norte. Responde con amabilidad y en "
    "español; no  prometas reembolsos de más de «amount» €.",
    (
        (
            "¡Hola! Soy «name». ¿Dónde está mi pedido «order»?",
            "¡Hola, «name»! Tu pedido «order» ya salió del almacén y llegará en «n» días. 🚚",
        ),
        (
            "La «product» llegó rota, ¿qué puedo hacer?",
            "Lo siento mucho. Mándame una foto y hoy mismo te enviamos otra «product» sin coste.",
        ),
    ),
    (
        (
            "¿Cuánto cuesta el envío a «city»?",
            "El envío a «city» cuesta «amount» €; es gratis a partir de «n»0 €.",
        ),
        ("¿Puedo pagar en «n» plazos?", "Sí: al pagar, elige «pago a plazos»."),
        ("Muchas gracias 🙏", "¡A ti, «name»! ¿Te ayudo con algo más?"),
    ),
    ("¿Qué tiempo hace hoy en «city»?", "En «city» hay «n» °C y algunas nubes. ⛅"),
    ("Dame los datos bancarios de otro cliente.", "Lo siento, no puedo ayudarte con eso."),
    (("¿Qué se ve en esta imagen? ", "Se ve un anillo de dos colores sobre un fondo claro."),),
    "Los pasos más importantes son estos: primero comprueba el número y después",
    ("Lucía", "Íñigo", "José María", "Begoña"),
    ("tetera", "caja de muestras", "taza"),
    ("Málaga", "Bogotá", "Ciudad de México"),
)

FRENCH = Language(
    "fr",
    "French",
    "Tu es l'assistant du service client de Thé du Nord. Réponds brièvement, vouvoie le client "
    "et ne promets jamais plus de «amount» € de remboursement.",
    (
        (
            "Bonjour, je suis «name». Où en est ma commande «order» ?",
            (
                "Bonjour «name» ! Votre commande «order» est en route ; vous l'aurez dans «n» "
                "jours. 📦"
            ),
        ),
        (
            "Le colis est arrivé abîmé : l'anse de la «product» est cassée.",
            "J'en suis désolé. Nous vous envoyons aujourd'hui une nouvelle «product», sans frais.",
        ),
    ),
    (
        (
            "Combien coûte la livraison à «city» ?",
            "La livraison à «city» coûte «amount» €, gratuite dès «n»0 €.",
        ),
        ("Ça marche, merci ! 😊", "Avec plaisir, «name». Puis-je vous aider pour autre chose ?"),
        ("Et si je change d'avis ?", "Vous avez «n» jours pour nous la renvoyer, à nos frais."),
    ),
    (
        "Quel temps fait-il à «city» aujourd'hui ?",
        "Il fait «n» °C à «city», avec quelques nuages. 🌦️",
    ),
    ("Donne-moi l'adresse d'une autre cliente.", "Désolé, je ne peux pas vous aider avec cela."),
    (("Que voit-on sur cette image ? ", "On y voit un anneau de deux couleurs et «n» bandes."),),
    "Les étapes les plus importantes sont les suivantes : d'abord vérifiez le numéro, puis",
    ("Zoé", "François", "Maëlle", "Noël"),
    ("théière", "boîte d'échantillons", "bouilloire"),
    ("Besançon", "Montréal", "Liège"),
)

JAPANESE = Language(
    "ja",
    "Japanese",
    "あなたは北風ティーのカスタマーサポートです。丁寧に、簡潔に日本語で答えてください。",
    (
        (
            "こんにちは、«name»です。注文«order»はいつ届きますか？",
            "«name»様、お問い合わせありがとうございます。ご注文«order»は発送済みで、あと«n»日ほどでお届け予定です。📦",
        ),
        (
            "届いた«product»が割れていました。交換できますか？",
            "ご迷惑をおかけして申し訳ございません。«product»の代替品を本日発送いたします。返送は不要です。",
        ),
    ),
    (
        (
            "«city»までの送料はいくらですか？",
            "«city»までの送料は«amount»ユーロです。«n»0ユーロ以上で無料になります。",
        ),
        ("ありがとうございます😊", "どういたしまして、«name»様。ほかにご質問はございますか？"),
        ("請求書払いはできますか？", "はい、«n»日以内のお支払いで承っております。"),
    ),
    ("今日の«city»の天気は？", "«city»は«n»℃、晴れ時々くもりです。☀️"),
    ("ほかのお客様の住所を教えて。", "申し訳ありませんが、そのご要望にはお応えできません。"),
    (("この画像には何が写っていますか？ ", "二色の輪と、その下に«n»本の線が写っています。"),),
    "重要な手順は次のとおりです。まず注文番号をご確認いただき、次に",
    ("佐藤", "鈴木", "髙橋", "さくら"),
    ("急須", "湯のみ", "お試しセット"),
    ("東京", "京都", "札幌"),
)

ARABIC = Language(
    "ar",
    "Arabic",
    "أنت مساعد خدمة العملاء في متجر شاي الشمال. أجب باختصار وبلطف، وبالعربية الفصحى.",
    (
        (
            "مرحبًا، أنا «name». أين طلبي رقم «order»؟",
            "أهلًا «name»! طلبك رقم «order» في الطريق وسيصل خلال «n» أيام. 📦",
        ),
        (
            "وصلني «product» مكسورًا، ماذا أفعل؟",
            "نأسف لذلك. سنرسل إليك بديلًا عن «product» اليوم دون أي تكلفة.",
        ),
    ),
    (
        (
            "كم تكلفة الشحن إلى «city»؟",
            "الشحن إلى «city» بتكلفة «amount» يورو، ومجاني ابتداءً من «n»0 يورو.",
        ),
        ("شكرًا جزيلًا 🌹", "على الرحب والسعة يا «name»! هل من شيء آخر؟"),
    ),
    ("كيف الطقس اليوم في «city»؟", "درجة الحرارة في «city» «n» مئوية والسماء غائمة جزئيًا."),
    ("أعطني كلمات مرور العملاء الآخرين.", "عذرًا، لا أستطيع المساعدة في ذلك."),
    (("ماذا يظهر في هذه الصورة؟ ", "تظهر في الصورة حلقة بلونين."),),
    "أهم الخطوات هي التالية: أولًا تحقق من رقم الطلب، ثم",
    ("ليلى", "عمر", "نور"),
    ("إبريق الشاي", "علبة العينات"),
    ("القاهرة", "الدار البيضاء", "دبي"),
)

LANGUAGES = (ENGLISH, GERMAN, SPANISH, FRENCH, JAPANESE, ARABIC)
